"""What stands below a figure of methods that are not what their names are known for."""

import math

from slt_bench.analysis.frame import frame
from slt_bench.report.notes import notes


def test_exact_gates_are_told_from_the_published_ones(standard):
    rows = frame(standard.records.values())
    exact = rows[rows["label"] == "gates"]
    assert notes(exact).startswith(" gates: not the published gates")
    assert notes(exact.assign(asked_sparsity=math.nan)) == ""  # with a penalty they ask for none
    assert notes(rows[rows["method"] == "dense"]) == ""
