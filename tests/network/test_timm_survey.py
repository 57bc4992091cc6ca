"""The smallest model of each of timm's modules, and those that were found to be odd, each in a process of its own."""

import os
import re

import pytest
from survey import in_own_process, models

ODD = (
    *("repvgg_a0", "mobileone_s0", "fastvit_t8"),  # abort or hang on CPUs with channels last
    *("nf_regnet_b0", "test_nfnet", "efficientnet_cc_b0_4e", "resnetv2_50x1_bit"),  # weights that no mask reaches
    *("test_maxvit", "maxvit_pico_rw_256"),  # a fixed parameter of one number
    *("resmlp_12_224", "halonet26t"),
)
LEAST_REASON = re.compile(r"cannot take images of .*: .*\w+.*\w+|reads \d+x\d+ of an image's \d+x\d+ pixels")


SAMPLE = {*ODD, *models()[::6]}
WHOLE = os.environ.get("SLT_BENCH_SURVEY") == "all"


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*models(), *ODD}))
def test_runs_or_says_why_not(name):
    if name not in SAMPLE and not WHOLE:
        pytest.skip("all models take half an hour: SLT_BENCH_SURVEY=all runs them")
    found = in_own_process(name)
    assert "crashed" not in found, found["crashed"]
    if "refused" in found:
        assert LEAST_REASON.search(found["refused"]), found["refused"]
        assert not re.search(r": (\w*Error)?\.?( It takes|$)", found["refused"]), "no reason at all"
        return
    assert found["same"], "the process's random state decides weights, buffers or the output"
    assert not found["unread"], "a pixel changes nothing"
    assert found["edgepopup"]["read_back"]
    assert found["gates"]["read_back"]
    assert found["formats"] is None or found["formats"] < 0.05, "channels last changes the gradient"
    assert 0 <= found["share"] <= 1
