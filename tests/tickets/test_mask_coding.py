"""The code of masks: what goes in comes out, in hardly more than the entropy, and as its text says."""

import hashlib
import math

import numpy as np
import pytest
import second_decoder
from hypothesis import example, given, settings
from hypothesis import strategies as st

from slt_bench.network import streams
from slt_bench.tickets.mask_coding import bound, decode, encode


def counts_of(mask, sizes):
    return [(len(part), int(part.sum())) for part in np.split(mask, np.cumsum(sizes)[:-1])]


def draw(sizes, densities, seed=0):
    """A mask whose layers have about these densities."""
    parts = [streams.uniform(n, "a mask", seed, i) < d for i, (n, d) in enumerate(zip(sizes, densities, strict=True))]
    return np.concatenate(parts)


layers = st.lists(st.lists(st.booleans(), min_size=1, max_size=60), min_size=1, max_size=5)


class TestRoundTrip:
    @settings(max_examples=300, deadline=None)
    @given(layers)
    @example([[True]])
    @example([[False] * 7, [True] * 9])
    @example([[False, True], [True] * 3, [True, False]])
    def test_any_mask_and_a_second_decoder(self, parts):
        mask, sizes = np.array([bit for part in parts for bit in part]), [len(part) for part in parts]
        code = encode(mask, sizes)
        counts = counts_of(mask, sizes)
        assert decode(code, counts).tolist() == mask.tolist()
        assert second_decoder.decode(code, counts) == mask.tolist()

    @pytest.mark.parametrize("density", [1e-5, 0.001, 0.02, 0.1, 0.5, 0.9, 0.999, 1 - 1e-5])
    def test_a_second_decoder_of_long_masks(self, density):
        sizes = [60_000, 3, 20_000]
        mask = draw(sizes, [density, 0.5, 1 - density])
        assert second_decoder.decode(encode(mask, sizes), counts_of(mask, sizes)) == mask.tolist()

    def test_layers_longer_than_what_is_decoded_at_once(self):
        sizes = [3_000_001]
        mask = draw(sizes, [0.03])
        assert np.array_equal(decode(encode(mask, sizes), counts_of(mask, sizes)), mask)

    def test_layers_with_more_weights_than_the_coder_has_units(self):
        sizes = [20_000_000]
        for kept in (1, 2, 19_999_999):
            mask = np.zeros(sizes[0], dtype=bool)
            mask[streams.permutation(20_000_000, "few")[:kept]] = True
            assert np.array_equal(decode(encode(mask, sizes), [(20_000_000, kept)]), mask)

    def test_golden_code(self):  # so that files of today can be read by whatever encodes tomorrow
        sizes = [1000, 10, 500]
        code = encode(draw(sizes, [0.1, 1.0, 0.6]), sizes)
        assert len(code) == 120
        assert hashlib.sha256(code).hexdigest() == "a328c89a9e6cddcbdd50cdce439416bf584dac4279cd30e9d1ff1784bd8d7752"


class TestSize:
    @pytest.mark.parametrize("density", [0.005, 0.01, 0.02, 0.05, 0.1, 0.3, 0.5, 0.7, 0.98])
    @pytest.mark.parametrize("sizes", [[100_000], [60_000, 39_000, 1_000], [1_000_000, 10]])
    def test_within_one_per_cent_of_the_entropy(self, sizes, density):
        mask = draw(sizes, [density] * len(sizes))
        assert len(encode(mask, sizes)) <= 1.01 * bound(counts_of(mask, sizes)) / 8

    def test_layers_of_other_densities_have_other_models(self):
        sizes = [50_000, 50_000]
        mask = draw(sizes, [0.5, 0.01])
        size, average = len(encode(mask, sizes)), bound([(100_000, int(mask.sum()))]) / 8
        assert size <= 1.01 * bound(counts_of(mask, sizes)) / 8
        assert size < 0.7 * average

    def test_full_and_empty_layers_cost_nothing(self):
        assert encode(np.array([True] * 900 + [False] * 5000), [900, 5000]) == b""

    @pytest.mark.parametrize(("counts", "bits"), [([(8, 4)], 8), ([(7, 0), (3, 3)], 0), ([(4, 1), (2, 1)], 3.2451 + 2)])
    def test_the_bound_is_the_entropy(self, counts, bits):
        assert bound(counts) == pytest.approx(bits, abs=1e-3)

    @settings(max_examples=100, deadline=None)
    @given(layers)
    def test_the_bound_is_at_most_a_bit_a_weight(self, parts):
        counts = [(len(part), sum(part)) for part in parts]
        assert 0 <= bound(counts) <= sum(map(len, parts)) + 1e-9
        assert math.isfinite(bound(counts))


class TestOfOthers:
    """Codes that nobody encoded: an error, or a mask with the counts that were asked for."""

    @settings(max_examples=500, deadline=None)
    @given(st.binary(max_size=64), st.lists(st.tuples(st.integers(1, 80), st.integers(0, 80)), min_size=1, max_size=4))
    def test_any_bytes(self, code, pairs):
        counts = [(n, min(n, kept)) for n, kept in pairs]
        try:
            mask = decode(code, counts)
        except ValueError:
            return
        assert counts_of(mask, [n for n, _ in counts]) == counts

    @settings(max_examples=200, deadline=None)
    @given(layers, st.data())
    def test_other_counts(self, parts, data):
        mask, sizes = np.array([bit for part in parts for bit in part]), [len(part) for part in parts]
        wrong = [(n, data.draw(st.integers(0, n))) for n in sizes]
        try:
            found = decode(encode(mask, sizes), wrong)
        except ValueError:
            return
        assert counts_of(found, sizes) == wrong

    def test_more_words_than_the_mask_needs(self):
        mask = draw([300], [0.5])
        code = encode(mask, [300])
        with pytest.raises(ValueError, match="goes on behind the mask"):
            decode(code + bytes(range(40)), counts_of(mask, [300]))
