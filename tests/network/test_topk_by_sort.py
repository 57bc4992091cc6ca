"""What selects on a GPU, tried on a processor: the numbers of a sort in plain Python, and nothing is waited for."""

import math
import struct

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode

from slt_bench.network.ops.topk import keep_top, keep_top_by_sort, kth_smallest, kth_smallest_by_sort

SINGLE = st.floats(width=32, allow_nan=False)  # infinities, zeros of both signs and denormal numbers among them
NUMBERS = st.one_of(
    st.lists(SINGLE, min_size=1, max_size=60),
    st.lists(st.sampled_from([-math.inf, -1.0, -0.0, 0.0, 2.0**-149, 1.0, math.inf]), min_size=1, max_size=60),
)


def top_of(values, count):
    """By Python's stable sort: where the `count` largest are, of equal ones the first."""
    order = sorted(range(len(values)), key=lambda place: -values[place])
    return [place in set(order[:count]) for place in range(len(values))]


class TestKthSmallest:
    @settings(max_examples=300)
    @given(NUMBERS, st.data())
    def test_is_that_of_a_sort(self, values, data):
        k = data.draw(st.one_of(st.just(1), st.just(len(values)), st.integers(1, len(values))))
        found = kth_smallest_by_sort(torch.tensor(values), k)
        assert found.shape == ()
        assert found.item() == sorted(values)[k - 1]

    @settings(max_examples=100)
    @given(NUMBERS, st.data())
    def test_is_that_of_the_other_way(self, values, data):
        many = torch.from_numpy(np.resize(np.float32(values), 20_000))  # of which histograms are made
        k = data.draw(st.integers(1, 20_000))
        assert kth_smallest_by_sort(many, k).item() == kth_smallest(many, k).item()

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64, torch.int64])
    def test_of_every_type(self, dtype):
        values = torch.randn(1000, generator=torch.Generator().manual_seed(0)).mul(10).to(dtype)
        found = kth_smallest_by_sort(values, 137)
        assert found.dtype == dtype
        assert found.item() == sorted(values.tolist())[136]

    def test_nan_counts_as_the_largest(self):
        nan = struct.unpack("<f", struct.pack("<I", 0xFFC00000))[0]  # with the sign of a negative number
        values = torch.tensor([math.inf, nan, -1.0, math.nan, 2.0])
        assert [kth_smallest_by_sort(values, k).item() for k in (1, 2, 3)] == [-1.0, 2.0, math.inf]
        assert all(kth_smallest_by_sort(values, k).isnan() for k in (4, 5))

    def test_leaves_its_input_alone_and_keeps_no_vector(self):
        values = torch.rand(1000, generator=torch.Generator().manual_seed(0)).requires_grad_()
        before = values.detach().clone()
        found = kth_smallest_by_sort(values, 300)
        assert torch.equal(values, before)
        assert not found.requires_grad
        assert found.untyped_storage().nbytes() == 4


class TestKeepTop:
    @settings(max_examples=300)
    @given(NUMBERS.filter(lambda values: len(values) > 1), st.data())
    @example([-0.0, 0.0, -0.0, 0.0], None)
    def test_is_a_stable_sort(self, values, data):
        last = len(values) - 1
        count = data.draw(st.one_of(st.just(1), st.just(last), st.integers(1, last))) if data else 2
        mask = keep_top_by_sort(torch.tensor(values), count)
        assert mask.dtype == torch.bool
        assert mask.tolist() == top_of(values, count)

    @pytest.mark.parametrize("count", [1, 1000, 10_000, 19_999])
    def test_is_the_other_way(self, count):
        numbers = torch.randn(20_000, generator=torch.Generator().manual_seed(0)).clamp(-0.5, 0.5)  # many at both ends
        assert torch.equal(keep_top_by_sort(numbers, count), keep_top(numbers, count))


def test_nothing_hangs_on_what_the_device_holds():
    """Tensors that are on a GPU and have no numbers: whatever asks for one of these raises."""
    with FakeTensorMode():
        values = torch.empty(1000, device="cuda")
        for count in (-1, 0, 1, 999, 1000, 1001):
            mask = keep_top(values, count)
            assert (mask.shape, mask.dtype, mask.device.type) == ((1000,), torch.bool, "cuda")
        assert kth_smallest(values, 500).untyped_storage().nbytes() == 4
