"""What is counted is right to the last operation, and a peak is the fastest of all that was measured."""

import pytest
import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from slt_bench.profiling import peak as peaks
from slt_bench.profiling.peak import measure_peak
from slt_bench.profiling.roofline import FORMULAS, Peak, StepCost, _Bytes, best_of, count_flops
from slt_bench.profiling.subject import ProfiledMethod, ProfileOptions

N, SECOND_AND_THIRD = 266_200, 31_000  # weights of LeNet-300-100, and of the layers whose inputs have gradients


def operations_of(act):
    with FlopCounterMode(display=False, custom_mapping=FORMULAS) as counter:
        act()
    return counter.get_total_flops()


def bytes_of(act):
    with _Bytes() as moved:
        act()
    return moved.total


@pytest.mark.parametrize("batch", [16, 128])
@pytest.mark.parametrize("method", ["dense", "gates", "edgepopup"])
def test_operations_are_those_of_the_matrix_products(method, batch):
    work = count_flops(ProfiledMethod.build(method, "lenet300", ProfileOptions(batch)))
    assert work.operations == 2 * batch * (2 * N + SECOND_AND_THIRD)


@pytest.mark.parametrize(
    "how",
    [
        {"padding": 1},
        {"padding": 2, "dilation": 2},
        {"padding": (1, 0), "stride": (2, 1)},
        {"padding": 1, "groups": 4},
        {"padding": 0, "stride": 3},
    ],
)
@pytest.mark.parametrize("kind", [functional.conv2d, functional.conv_transpose2d])
def test_convolutions_skip_the_zeros_around_an_image(kind, how):
    """A convolution of ones with ones adds as many products as it has."""
    images = torch.ones(2, 8, 6, 5, requires_grad=True)
    weight = torch.ones(8, 8 // how.get("groups", 1), 3, 3, requires_grad=True)
    products = int(kind(images, weight, **how).sum())
    assert operations_of(lambda: kind(images, weight, **how)) == 2 * products
    assert operations_of(lambda: kind(images, weight, **how).sum().backward()) == 3 * 2 * products
    assert operations_of(lambda: kind(images.detach(), weight, **how).sum().backward()) == 2 * 2 * products


def test_attention_is_counted_on_a_cpu():
    query, key, value = (torch.randn(2, 3, 10, 8, requires_grad=True) for _ in range(3))
    once = 2 * 2 * 3 * 10 * 10 * 8
    assert operations_of(lambda: functional.scaled_dot_product_attention(query, key, value)) == 2 * once
    # backward: the weights of attention anew, and a gradient for each of four factors
    assert (
        operations_of(lambda: functional.scaled_dot_product_attention(query, key, value).sum().backward()) == 7 * once
    )


def test_bytes_grow_with_the_passes_over_the_vector():
    dense, gates = (_second(name) for name in ("dense", "gates"))
    weights = 4 * N
    assert dense > 7 * weights  # two products read and one writes them; the optimiser reads four
    assert 8 * weights < gates - dense < 30 * weights


def _second(name):
    subject = ProfiledMethod.build(name, "lenet300", ProfileOptions(16))
    subject.step(0.5)  # makes the table of noise
    return count_flops(subject).bytes


def test_bytes_are_those_that_have_to_move():
    one, other, rows = torch.randn(100), torch.randn(100), torch.tensor([3, 5])
    assert bytes_of(lambda: one + other) == 1200
    assert bytes_of(lambda: one.add_(other)) == 1200
    assert bytes_of(lambda: torch.add(one, other, out=torch.empty(100))) == 1200
    assert bytes_of(lambda: one.copy_(other)) == 800  # what is overwritten is not read
    assert bytes_of(lambda: torch.empty_like(one)) == 0
    assert bytes_of(lambda: one.index_select(0, rows)) == 16 + 8
    assert bytes_of(lambda: other[:1].expand(100) + one) == 804  # the one number is read once


def test_the_roofline_is_what_takes_longer():
    peak = Peak(operations=100.0, bytes=10.0)
    assert peak.seconds(StepCost(1000, 10)) == 10
    assert peak.seconds(StepCost(1000, 1000)) == 100


def test_the_best_of_peaks_is_the_fastest_of_each_kind():
    assert best_of([Peak(1.0, 30.0), Peak(3.0, 10.0), Peak(2.0, 20.0)]) == Peak(3.0, 30.0)


def test_the_machine_has_a_peak():
    peak = measure_peak(torch.device("cpu"), "float32", seconds=0.1)
    assert 1e8 < peak.operations < 1e14
    assert 1e8 < peak.bytes < 1e13


def test_a_peak_is_the_fastest_product_not_the_shortest(monkeypatch):
    times = {"small": 1.0, "middle": 2.0, "large": 10.0}
    monkeypatch.setattr(peaks, "_shortest", lambda act, *_: times[act])
    acts = iter([(10.0, "small"), (30.0, "middle"), (90.0, "large")])
    assert peaks._fastest(acts, torch.device("cpu"), 0.0) == 15


def test_what_makes_a_peak_does_as_much_as_it_says():
    cpu = torch.device("cpu")
    names = set()
    for done, act in peaks._products(cpu, torch.float32):
        assert operations_of(act) == done
        names.add(done)
    assert len(names) > 4
    assert all(bytes_of(act) == done for done, act in peaks._passes(cpu))
