"""The distributions of the weights."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from slt_bench.network.inits import DEFAULT_RANGE, INITS, Init
from slt_bench.utils.errors import UserError

COUNT = 50_000


@pytest.mark.parametrize("fan_in", [9, 64, 784])
class TestDraw:
    def test_kaiming_normal(self, fan_in):
        weights = Init.parse("kaiming_normal").draw(COUNT, fan_in, "test", fan_in)
        assert stats.kstest(weights, "norm", args=(0, math.sqrt(2 / fan_in))).pvalue > 1e-4

    def test_signed_constant(self, fan_in):
        weights = Init.parse("signed_constant").draw(COUNT, fan_in, "test", fan_in)
        assert set(np.unique(weights)) == {-math.sqrt(2 / fan_in), math.sqrt(2 / fan_in)}
        assert abs(np.sign(weights).mean()) < 5 / math.sqrt(COUNT)

    @pytest.mark.parametrize("text", ["kaiming_uniform", "uniform", "uniform:0.05", "uniform:2"])
    def test_uniform_within_its_range(self, fan_in, text):
        weights = Init.parse(text).draw(COUNT, fan_in, "test", fan_in)
        own = float(text.partition(":")[2] or DEFAULT_RANGE)  # the same for every fan-in
        limit = math.sqrt(6 / fan_in) if text == "kaiming_uniform" else own  # variance limit^2 / 3 = 2 / fan_in
        assert np.abs(weights).max() < limit
        assert stats.kstest(weights, "uniform", args=(-limit, 2 * limit)).pvalue > 1e-4

    @pytest.mark.parametrize("name", [name for name in INITS if name != "uniform"])
    def test_variance_is_two_over_fan_in(self, fan_in, name):
        weights = Init.parse(name).draw(COUNT, fan_in, "variance", fan_in)
        assert abs(weights.var() * fan_in / 2 - 1) < 5 * math.sqrt(2 / COUNT)


def test_the_key_chooses_the_weights():
    init = Init.parse("kaiming_normal")
    assert np.array_equal(init.draw(10, 4, "a"), init.draw(10, 4, "a"))
    assert not np.array_equal(init.draw(10, 4, "a"), init.draw(10, 4, "b"))


class TestParse:
    @pytest.mark.parametrize("text", [*INITS[:3], "uniform:0.1", "uniform:0.05"])
    def test_text_round_trip(self, text):
        assert str(Init.parse(text)) == text

    def test_uniform_without_a_number_tells_its_default(self):
        assert str(Init.parse("uniform")) == f"uniform:{DEFAULT_RANGE:g}"

    @given(st.floats(min_value=0, exclude_min=True, allow_infinity=False))
    def test_every_range_survives_its_text(self, limit):
        init = Init.parse(f"uniform:{limit!r}")
        assert init.limit == limit
        assert Init.parse(str(init)) == init

    @pytest.mark.parametrize(
        ("text", "answer"),
        [
            *((f"uniform:{limit}", "positive number") for limit in ("", "x", "0", "-1", "inf", "nan")),
            ("kaiming_normal:1", "takes no number"),
            ("signed_constant:", "takes no number"),
            ("kaiming_norml", "kaiming_normal"),
            ("", "Unknown init ''"),
        ],
    )
    def test_other_texts_are_refused(self, text, answer):
        with pytest.raises(UserError, match=answer):
            Init.parse(text)
