"""Selection, compared with sorting."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from slt_bench.network.ops import topk
from slt_bench.network.ops.topk import FEW, FEW_OF_VECTORS, PIECE, Brackets, keep_top, keep_top_of_each, kth_smallest
from slt_bench.network.ops.topk import _few as ask_numpy
from slt_bench.utils.errors import NotFiniteError

MANY = 20_001  # of which a sample is looked at first


def reference_keep_top(values, count):
    """By a stable sort: the `count` largest, of equal ones the first."""
    order = np.argsort(-np.asarray(values, dtype=np.float64), kind="stable")
    mask = np.zeros(len(values), dtype=bool)
    mask[order[: max(0, count)]] = True
    return mask


NUMBERS = st.one_of(
    st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=60),
    st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=60),
)


@pytest.fixture(scope="module", params=[(FEW, PIECE), (FEW, 3_000), (FEW_OF_VECTORS, PIECE)], autouse=True)
def few(request):
    """What NumPy partitions itself, on processors without and with wide vectors; and how long pieces are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(topk, "_few", lambda: request.param[0])
        patch.setattr(topk, "PIECE", request.param[1])
        yield


class TestKeepTop:
    @settings(max_examples=300, deadline=None)
    @given(NUMBERS, st.integers(-2, 65))
    def test_is_a_stable_sort(self, values, count):
        mask = keep_top(torch.tensor(values), count)
        assert mask.dtype == torch.bool
        assert int(mask.sum()) == min(max(count, 0), len(values))
        assert mask.tolist() == reference_keep_top(values, count).tolist()

    @pytest.mark.parametrize("n", [7, MANY])
    @pytest.mark.parametrize("bits", [0x7FC00000, 0xFFC00000])  # NaN of either sign
    @pytest.mark.parametrize("share", [0.01, 0.9])
    def test_of_nan_is_refused(self, n, bits, share):
        """None may be kept, nor pass for a small number, whether more or fewer than `count` are NaN."""
        values = torch.linspace(-1, 1, n)
        values[: max(1, int(share * n))] = torch.tensor(bits - (bits >> 31 << 32), dtype=torch.int32).view(
            torch.float32
        )
        for count in (1, n // 2, n - 1):
            with pytest.raises(NotFiniteError, match="NaN"):
                keep_top(values, count)

    def test_of_infinities_and_whole_numbers_is_not(self):
        assert keep_top(torch.tensor([1.0, -math.inf, math.inf, 3e38]), 2).tolist() == [False, False, True, True]
        assert keep_top(torch.tensor([1, 3, 2]), 1).tolist() == [False, True, False]

    def test_a_large_vector_of_ties(self):
        values = torch.randint(5, (100_000,), generator=torch.Generator().manual_seed(0)).float()
        for count in (0, 1, 50_000, 99_999, 100_000):
            assert keep_top(values, count).tolist() == reference_keep_top(values, count).tolist()

    @settings(max_examples=60, deadline=None)
    @given(NUMBERS, st.floats(0, 1), st.integers(0, 2**32 - 1))
    def test_of_many_numbers_is_one_too(self, values, share, seed):
        many = np.random.default_rng(seed).permutation(np.resize(np.float32(values), MANY))
        count = round(share * MANY)
        assert keep_top(torch.from_numpy(many), count).tolist() == reference_keep_top(many, count).tolist()

    @pytest.mark.parametrize("sign", [1, -1])
    @pytest.mark.parametrize(("scale", "least"), [(1e-42, 0), (1e-3, 0), (1.0, 0), (1e38, 0), (1e-4, 0.5)])
    def test_of_numbers_of_any_size(self, sign, scale, least):
        numbers = (least + torch.randn(MANY, generator=torch.Generator().manual_seed(0)).abs() * scale) * sign
        for count in (1, 7, MANY // 10, MANY // 2, MANY - 1):
            assert keep_top(numbers, count).tolist() == reference_keep_top(numbers, count).tolist()

    def test_of_every_second_number(self):
        numbers = torch.randn(2 * MANY, generator=torch.Generator().manual_seed(0))[::2]
        assert keep_top(numbers, 99).tolist() == reference_keep_top(numbers, 99).tolist()

    def test_of_a_vector_that_changes_is_the_same_with_a_bracket(self):
        random = np.random.default_rng(0)
        numbers, brackets = random.normal(size=MANY).astype(np.float32), Brackets()
        for step in range(60):
            numbers += np.float32(0.01 * random.normal() + 10 * (step in {20, 40})) * numbers
            numbers[: 5000 * (step > 50)] = 0.25
            count = MANY // (2 if step == 30 else 10)
            mask = keep_top_of_each(torch.from_numpy(numbers), [MANY], [count], brackets)
            assert mask.tolist() == reference_keep_top(numbers, count).tolist()

    @pytest.mark.parametrize("number", [0.0, -3.0, np.inf, -np.inf, 3e38])
    def test_a_bracket_bears_any_number(self, number):
        numbers, brackets = np.full(MANY, number, np.float32), Brackets()
        for count in (5, 5, MANY - 5, 5):
            mask = keep_top_of_each(torch.from_numpy(numbers), [MANY], [count], brackets)
            assert mask.tolist() == reference_keep_top(numbers, count).tolist()
            numbers[count] = 0.0

    def test_leaves_its_input_alone(self):
        values = torch.rand(1000, requires_grad=True)
        before = values.detach().clone()
        assert not keep_top(values, 300).requires_grad
        assert torch.equal(values, before)


class TestKeepTopOfEach:
    @settings(max_examples=100, deadline=None)
    @given(st.lists(st.tuples(NUMBERS, st.integers(-2, 65)), min_size=1, max_size=5), st.integers(0, 4))
    def test_is_that_of_each_part(self, parts, large):
        values = [
            np.resize(np.float32(part), MANY if place == large else len(part)) for place, (part, _) in enumerate(parts)
        ]
        counts = [count for _, count in parts]
        whole = torch.from_numpy(np.concatenate(values))
        expected = np.concatenate([reference_keep_top(part, count) for part, count in zip(values, counts, strict=True)])
        brackets = Brackets()
        for given_brackets in (None, brackets, brackets, brackets):
            mask = keep_top_of_each(whole, [len(part) for part in values], counts, given_brackets)
            assert mask.tolist() == expected.tolist()

    @pytest.mark.parametrize(
        ("sizes", "counts", "reason"),
        [([5, 5], [2], "shorter"), ([5, 4], [2, 2], "9 numbers in all"), ([5, 6], [2, 2], "of a vector of 10")],
    )
    def test_its_parts_must_be_those_of_the_vector(self, sizes, counts, reason):
        with pytest.raises(ValueError, match=reason):
            keep_top_of_each(torch.rand(10), sizes, counts)


class TestKthSmallest:
    @settings(max_examples=200, deadline=None)
    @given(NUMBERS, st.data())
    def test_is_that_of_a_sort(self, values, data):
        k = data.draw(st.integers(1, len(values)))
        tensor = torch.tensor(values)
        assert kth_smallest(tensor, k).item() == np.sort(np.float32(values))[k - 1]
        assert tensor.tolist() == torch.tensor(values).tolist()

    @settings(max_examples=60, deadline=None)
    @given(NUMBERS, st.integers(1, 20_000))
    def test_is_that_of_a_sort_of_many(self, values, k):
        many = np.resize(np.float32(values), 20_000)
        assert kth_smallest(torch.from_numpy(many), k).item() == np.sort(many)[k - 1]

    def test_no_gradient_flows(self):
        assert not kth_smallest(torch.rand(5, requires_grad=True), 2).requires_grad


@pytest.mark.parametrize(
    ("extensions", "expected"),
    [
        ({}, FEW),
        ({"baseline": ["SSE2"], "found": ["SSE42"], "not found": ["AVX2"]}, FEW),
        ({"baseline": ["SSE2"], "found": ["SSE42", "AVX2", "AVX512_SKX"]}, FEW_OF_VECTORS),
        ({"baseline": ["X86_V2", "X86_V3"]}, FEW_OF_VECTORS),
    ],
)
def test_numpy_alone_ranks_more_numbers_where_it_has_wide_vectors(monkeypatch, extensions, expected):
    """As NumPy names them in `show_config`, of 2.0 and of 2.4."""
    monkeypatch.setattr(np, "show_config", lambda mode: {"SIMD Extensions": extensions} if mode == "dicts" else None)
    assert ask_numpy.__wrapped__() == expected
