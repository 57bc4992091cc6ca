"""The random numbers: right in distribution, and the same bits everywhere."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy._core import _multiarray_umath as umath
from scipy import special, stats

from slt_bench.network import streams

GOLDEN = {  # sha256 of the bytes of FUNCTION(1000, "golden", 1); a change of any bit changes all weights ever drawn
    "uniform": "cb7aa16c37491c8949bf7314d4c76a4e4582ac26b0bfcdea463ed19002ca5960",
    "normal": "d52db50e899d3f74c779c77f4751ed61b9c54b4a5f66747aa296218f82cba14a",
    "signs": "17f766454a1ef63d5f6a4638a9ee17707a0d8bc11834924fd175ffebeb66a12d",
    "permutation": "312c442aa64ae47507a1ced30c6329360a0f3d0788d34e471c950ef7113b0904",
}


def sha256(array):
    return hashlib.sha256(array.tobytes()).hexdigest()


class TestNormalQuantile:
    def test_agrees_with_scipy_in_the_centre_and_the_tails(self):
        tails = np.logspace(-300, -1, 20_001)
        probability = np.concatenate([np.linspace(1e-6, 1 - 1e-6, 100_001), tails, 1 - tails[tails > 1e-16]])
        error = np.abs(streams.normal_quantile(probability) - special.ndtri(probability))
        # Near 1, scipy and AS 241 both see the rounded 1 - p: they still agree.
        assert error.max() < 1e-13

    def test_at_every_seam_of_its_pieces(self):
        seams = np.array([0.075, 0.925, np.exp(-25.0), 1 - np.exp(-25.0), 0.5])
        near = np.concatenate([np.nextafter(seams, 0), seams, np.nextafter(seams, 1)])
        assert np.abs(streams.normal_quantile(near) - special.ndtri(near)).max() < 1e-13
        assert streams.normal_quantile(np.array([0.5]))[0] == 0.0

    @given(st.floats(2**-53, 0.5))
    def test_is_odd_about_one_half(self, p):
        low, high = streams.normal_quantile(np.array([p, 1 - p]))
        if 1 - (1 - p) == p:  # 1 - p is exact
            assert low == -high

    def test_does_not_change_what_it_is_given(self):
        probability = np.array([1e-9, 0.3, 0.99])
        before = probability.copy()
        streams.normal_quantile(probability)
        assert np.array_equal(probability, before)


class TestUniform:
    def test_moments_and_range(self):
        numbers = streams.uniform(200_000, "moments")
        assert numbers.min() > 0
        assert numbers.max() < 1
        assert abs(numbers.mean() - 0.5) < 5 * np.sqrt(1 / 12 / len(numbers))
        assert abs(numbers.var() - 1 / 12) < 5 * np.sqrt(1 / 180 / len(numbers))
        assert stats.kstest(numbers, "uniform").pvalue > 1e-4

    @pytest.mark.parametrize(("raw", "side"), [(0, "low"), (2**64 - 1, "high")])
    def test_the_extreme_bits_stay_inside_the_open_interval(self, monkeypatch, raw, side):
        class Stuck:
            def __init__(self, **_):
                pass

            def random_raw(self, count):
                return np.full(count, raw, dtype=np.uint64)

        monkeypatch.setattr(np.random, "Philox", Stuck)
        (number,) = streams.uniform(1, "any")
        assert 0 < number < 1
        assert (number < 0.5) == (side == "low")
        (quantile,) = streams.normal(1, "any")
        assert 8 < abs(quantile) < 9

    def test_no_correlation_with_the_next_number_or_another_stream(self):
        one, other = streams.uniform(100_000, "s", 1), streams.uniform(100_000, "s", 2)
        limit = 5 / np.sqrt(len(one))
        assert abs(np.corrcoef(one[1:], one[:-1])[0, 1]) < limit
        assert abs(np.corrcoef(one, other)[0, 1]) < limit


class TestNormal:
    def test_distribution(self):
        numbers = streams.normal(200_000, "moments")
        assert abs(numbers.mean()) < 5 / np.sqrt(len(numbers))
        assert abs(numbers.var() - 1) < 5 * np.sqrt(2 / len(numbers))
        assert stats.kstest(numbers, "norm").pvalue > 1e-4

    def test_does_not_depend_on_how_many_are_drawn(self):
        many = streams.normal(70_000, "chunks")  # more than the 65,536 that are worked on at a time
        assert np.array_equal(many[:10], streams.normal(10, "chunks"))
        assert np.array_equal(many, streams.normal_quantile(streams.uniform(70_000, "chunks")))

    def test_none_at_all(self):
        assert streams.normal(0, "none").shape == (0,)


class TestSigns:
    def test_halves(self):
        numbers = streams.signs(100_000, "halves")
        assert set(np.unique(numbers)) == {-1.0, 1.0}
        assert np.array_equal(numbers, np.sign(streams.uniform(100_000, "halves") - 0.5))
        assert abs(numbers.mean()) < 5 / np.sqrt(len(numbers))


class TestPermutation:
    @given(st.integers(0, 500), st.integers())
    def test_holds_every_index_once(self, count, seed):
        assert np.array_equal(np.sort(streams.permutation(count, seed)), np.arange(count))

    def test_every_order_is_as_likely(self):
        seen = np.zeros(6)
        for seed in range(3000):
            first, second, _ = streams.permutation(3, "orders", seed)
            seen[2 * first + (second == (first + 1) % 3)] += 1
        assert stats.chisquare(seen).pvalue > 1e-4


class TestSubset:
    @given(st.integers(0, 300), st.floats(0, 1), st.integers())
    def test_has_exactly_as_many_as_asked(self, count, share, seed):
        chosen = round(share * count)
        drawn = streams.subset(count, chosen, seed)
        assert drawn.shape == (count,)
        assert drawn.sum() == chosen

    def test_every_subset_is_as_likely(self):
        seen = np.zeros(16)
        for seed in range(3000):
            seen[int(streams.subset(4, 2, "subsets", seed) @ np.array([1, 2, 4, 8]))] += 1
        found = seen[[3, 5, 6, 9, 10, 12]]
        assert found.sum() == 3000
        assert stats.chisquare(found).pvalue > 1e-4

    def test_equal_bits_change_no_count(self, monkeypatch):
        class Same:
            def random_raw(self, count):
                return np.full(count, 7, dtype=np.uint64)

        monkeypatch.setattr(streams, "_philox", lambda _: Same())
        assert streams.subset(5, 2, "ties").tolist() == [True, True, False, False, False]


class TestKeys:
    @pytest.mark.parametrize("name", GOLDEN)
    def test_golden_hash(self, name):
        assert sha256(getattr(streams, name)(1000, "golden", 1)) == GOLDEN[name]

    def test_golden_hash_of_many(self):  # so that the far tails, too, keep their bits
        assert (
            sha256(streams.normal(200_000, "golden", 2))
            == "4a36439447b58b0fa01ea4a856cb39f4a97e044d40126af3c9cf3add35a8847d"
        )

    def test_golden_values(self):
        assert [x.hex() for x in streams.uniform(3, "golden", 1)] == [
            "0x1.37cf50b415e6ep-1", "0x1.fea16a6f18c12p-3", "0x1.0e5a57d121df2p-1",
        ]  # fmt: skip
        assert [x.hex() for x in streams.normal(4, "golden", 1)] == [
            "0x1.1b5d40e1c2142p-2", "-0x1.5a6aba1ba3192p-1", "0x1.200e701134ba0p-4", "-0x1.56ce07c09cd19p-5",
        ]  # fmt: skip
        assert streams.permutation(10, "golden", 1).tolist() == [9, 4, 7, 5, 1, 6, 8, 3, 2, 0]

    def test_derive_seed_is_stable_and_fits_63_bits(self):
        assert streams.derive_seed("a", 1) == 6861350103018950465
        assert streams.derive_seed() == 724655455495936113
        assert all(0 <= streams.derive_seed("range", i) < 2**63 for i in range(1000))

    def test_the_parts_of_a_key_are_kept_apart(self):
        keys = [("a", "b"), ("ab",), ("b", "a"), ("a", "b", ""), ("a", 1), ("a", 11), ("a1", 1)]
        assert len({streams.derive_seed(*key) for key in keys}) == len(keys)
        assert len({sha256(streams.uniform(4, *key)) for key in keys}) == len(keys)

    def test_numpys_global_generator_plays_no_part(self):
        np.random.seed(0)  # noqa: NPY002 - the global generator is the point
        first = streams.normal(10, "global")
        np.random.seed(1)  # noqa: NPY002
        assert np.array_equal(first, streams.normal(10, "global"))


def test_the_same_bits_on_lesser_instruction_sets():
    switchable = [name for name in umath.__cpu_dispatch__ if umath.__cpu_features__.get(name)]
    if not switchable:
        pytest.skip("NumPy has no code paths on this machine that could be switched off")
    code = (
        "import hashlib; from slt_bench.network import streams\n"
        "for name in ('uniform', 'normal', 'signs', 'permutation'):\n"
        "    print(hashlib.sha256(getattr(streams, name)(1000, 'golden', 1).tobytes()).hexdigest())\n"
        "from numpy._core import _multiarray_umath as umath\n"
        f"print(any(umath.__cpu_features__[name] for name in {switchable!r}))"
    )
    environment = os.environ | {"NPY_DISABLE_CPU_FEATURES": " ".join(switchable)}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    *hashes, still_on = result.stdout.split()
    assert still_on == "False", "the instruction sets were not switched off, so that nothing was compared"
    assert hashes == list(GOLDEN.values())
