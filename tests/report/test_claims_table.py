"""The table of published claims beside what was measured."""

import math

import pytest

from slt_bench.analysis.measured import Kept
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
        (
            {"sparsity": 0.9, "baseline_sparsity": 0.5, "baseline": "edgepopup", "margin": 0.5},
            "gates at 0.9 at most 0.5 points below edgepopup at 0.5",
            "+50.00 ± 1.00 points (n=3)",
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
    one = ClaimVerdict(PaperClaim(**ABOUT | values), "refuted", Interval(0.5, 0.49, 0.51, 3), "why")
    table = claims_table([one])
    assert table.rows[0][1:] == [claimed, measured, "", "refuted", "why"]
    assert table.rows[0][0].startswith("A: gates")
    assert claims_frame([one]).loc[0, ["measured", "low", "n", "verdict"]].tolist() == [0.5, 0.49, 3, "refuted"]


def test_a_bound_is_told():
    one = ClaimVerdict(PaperClaim(**ABOUT | RATIO), "bound only", Interval(1.5, 1.2, 1.8, 3), "why", "at least")
    assert claims_table([one]).rows[0][2:] == ["at least 1.50 ± 0.30 (n=3)", "", "bound only", "why"]
    assert claims_frame([one]).loc[0, ["bound", "verdict"]].tolist() == ["at least", "bound only"]


def test_what_is_kept_is_told():
    kept = Kept(Interval(0.2, 0.15, 0.25, 3), "at most")
    one = ClaimVerdict(PaperClaim(**ABOUT | RATIO), "confirmed", Interval(2.0, 1.9, 2.1, 3), "", kept=kept)
    assert claims_table([one]).rows[0][3] == "at most 0.20 ± 0.05"
    assert claims_frame([one]).loc[0, ["kept", "kept_low", "kept_high"]].tolist() == [0.2, 0.15, 0.25]


def test_what_was_not_run_has_a_dash():
    one = ClaimVerdict(PaperClaim(**ABOUT | RATIO), "not run", None, "no record of gates")
    assert claims_table([one]).rows[0][2:] == ["-", "", "not run", "no record of gates"]
    assert math.isnan(claims_frame([one]).loc[0, "measured"])
