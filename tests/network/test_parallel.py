"""Work on several threads: all of it, once, in order; and the same bits as on one thread."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from slt_bench.method import add_noise, keep_top, keep_top_of_each, kth_smallest, straight_through
from slt_bench.network.frozen import FrozenNetwork
from slt_bench.network.ops import topk
from slt_bench.network.ops.parallel import parallel_map
from slt_bench.network.ops.topk import Brackets
from slt_bench.registry import load_registry

COUNTS = [1, 2, 4]


@pytest.fixture(autouse=True)
def restore():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


class TestParallelMap:
    @pytest.mark.parametrize("threads", COUNTS)
    @pytest.mark.parametrize("count", [0, 1, 2, 50])
    def test_gives_what_the_work_returns_in_order(self, threads, count):
        torch.set_num_threads(threads)
        done = []
        assert parallel_map(lambda item: done.append(item) or -item, range(count)) == [-item for item in range(count)]
        assert sorted(done) == list(range(count))

    def test_works_on_as_many_threads_as_torch(self):
        torch.set_num_threads(3)
        together = threading.Barrier(3)
        assert sorted(parallel_map(lambda _: together.wait(60), range(6))) == [0, 0, 1, 1, 2, 2]

    def test_of_one_thread_or_few_items_stays_where_it_is(self):
        here = threading.get_ident()
        torch.set_num_threads(1)
        assert parallel_map(lambda _: threading.get_ident(), range(9)) == [here] * 9
        torch.set_num_threads(4)
        assert parallel_map(lambda _: threading.get_ident(), range(3)) == [here] * 3

    @pytest.mark.parametrize("threads", COUNTS)
    def test_an_error_is_the_callers(self, threads):
        torch.set_num_threads(threads)
        with pytest.raises(ZeroDivisionError):
            parallel_map(lambda item: 1 / item, [5, 4, 3, 2, 1, 0])
        assert parallel_map(abs, range(-9, 0)) == list(range(9, 0, -1))

    def test_several_callers_at_once_have_their_own_results(self):
        torch.set_num_threads(2)

        def call(number):
            expected = list(range(number, number + 20))
            return all(parallel_map(lambda item: item + number, range(20)) == expected for _ in "many")

        with ThreadPoolExecutor(4) as callers:
            assert all(callers.map(call, range(8)))


def test_ranking_uses_the_threads_of_torch(monkeypatch):
    seen, count = set(), topk.np.count_nonzero
    together = threading.Barrier(2)

    def count_nonzero(mask):
        if threading.get_ident() not in seen:
            seen.add(threading.get_ident())
            together.wait(60)
        return count(mask)

    monkeypatch.setattr(topk.np, "count_nonzero", count_nonzero)
    torch.set_num_threads(2)
    numbers = torch.rand(2_000_000, generator=torch.Generator().manual_seed(0))
    mask = keep_top(numbers, 500_000)
    assert len(seen) == 2
    assert int(mask.sum()) == 500_000


def on_each_count(compute):
    """What is computed on one thread, and on more."""
    results = []
    for threads in COUNTS:
        torch.set_num_threads(threads)
        results.append(compute())
    return results


def assert_same_bits(results):
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            assert torch.equal(one.view(torch.uint8), two.view(torch.uint8))


class TestBits:
    def test_of_thresholds_and_masks(self):
        numbers = torch.randn(1_200_000, generator=torch.Generator().manual_seed(0))
        sizes, counts = [900_000, 299_000, 1_000], [90_000, 200_000, 10]
        order = numbers.sort().values

        def compute():
            brackets, found = Brackets(), [kth_smallest(numbers, 700_000).view(1), keep_top(numbers, 55_555)]
            return found + [keep_top_of_each(numbers + step * 1e-3, sizes, counts, brackets) for step in range(4)]

        results = on_each_count(compute)
        assert_same_bits(results)
        assert results[0][0] == order[699_999]
        assert torch.equal(results[0][1], numbers > order[-55_556])

    @pytest.mark.parametrize("name", ["edgepopup", "global_edgepopup"])
    def test_of_masks_that_a_method_learns(self, name):
        network = FrozenNetwork("mlp1000_1000", shape=(1, 8, 8), classes=10, init="kaiming_normal")
        kind = load_registry().find(name)
        gradient = torch.randn(network.n, generator=torch.Generator().manual_seed(0))

        def compute():
            method = kind(network, kind.settings_class(), 0.9)
            optimizer, found = method.optimizer(), []
            for step in range(6):
                method.on_progress(0.5 + step / 20)
                effective = method.effective()
                effective.backward(gradient.roll(step))
                optimizer.step()
                optimizer.zero_grad()
                found.append(effective.detach())
            return [*found, method.mask()]

        assert_same_bits(on_each_count(compute))

    @pytest.mark.parametrize("kind", ["normal", "uniform", "logistic"])
    def test_of_noise_and_hard_masks(self, kind):
        zeros = torch.zeros(2_500_000)

        def compute():
            noisy = add_noise(zeros, kind, 0.3, torch.Generator().manual_seed(1))
            return [noisy, straight_through(noisy > 0.1, noisy)]

        assert_same_bits(on_each_count(compute))
