"""The table of published claims beside what was measured."""

import math

import pytest

from slt_bench.analysis.statistics import Interval
from slt_bench.analysis.verdicts import ClaimVerdict
from slt_bench.jobs.paper_claims import PaperClaim
from slt_bench.report.tables.claims import claims_frame, claims_table

ABOUT = {"who": "A", "where": "p. 1", "method": "gates", "arch": "conv2", "dataset": "cifar10"}
RATIO = {"ratio": 2.0, "baseline": "edgepopup", "relation": "about"}


@pytest.mark.parametrize(
    ("values", "claimed", "measured"),
    [
        ({"sparsity": 0.5, "accuracy": 0.96}, "at least 96% at sparsity 0.5", "50.00 ± 1.00% (n=3)"),
        (
            {"sparsity": 0.9, "loss": 1.0},
            "at most 1 point below dense at sparsity 0.9",
            "50.00 ± 1.00 points below (n=3)",
        ),
        (RATIO, "about 2 times the sparsity, within 1 point of dense", "0.50 ± 0.01 (n=3)"),
        (
            RATIO | {"reference": "baseline", "within": 0.25},
            "about 2 times the sparsity, within 0.25 points of the best of edgepopup",
            "0.50 ± 0.01 (n=3)",
        ),
        (
            RATIO | {"reference": "baseline", "sparsity": 0.5, "within": 0.0},
            "about 2 times the sparsity, as accurate as edgepopup at sparsity 0.5",
            "0.50 ± 0.01 (n=3)",
        ),
    ],
)
def test_a_claim_and_what_was_measured_are_told_in_words(values, claimed, measured):
    one = ClaimVerdict(PaperClaim(**ABOUT | values), "not held", Interval(0.5, 0.49, 0.51, 3), "why")
    table = claims_table([one])
    assert table.rows[0][1:] == [claimed, measured, "not held", "why"]
    assert table.rows[0][0].startswith("A: gates")
    assert claims_frame([one]).loc[0, ["measured", "low", "n", "verdict"]].tolist() == [0.5, 0.49, 3, "not held"]


def test_a_bound_is_told():
    one = ClaimVerdict(PaperClaim(**ABOUT | RATIO), "undecided", Interval(1.5, 1.2, 1.8, 3), "why", "at least")
    assert claims_table([one]).rows[0][2:] == ["at least 1.50 ± 0.30 (n=3)", "undecided", "why"]
    assert claims_frame([one]).loc[0, ["bound", "verdict"]].tolist() == ["at least", "undecided"]


def test_what_was_not_measured_has_a_dash():
    one = ClaimVerdict(PaperClaim(**ABOUT | RATIO), "not measured", None, "no record of gates")
    assert claims_table([one]).rows[0][2:] == ["-", "not measured", "no record of gates"]
    assert math.isnan(claims_frame([one]).loc[0, "measured"])
