"""The pages of findings say what the committed records say."""

import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]


@pytest.mark.skipif(not (CHECKOUT / "results" / "paper_tuned").is_dir(), reason="records are in a checkout only")
def test_every_number_and_verdict_is_that_of_the_records():
    done = subprocess.run(
        [sys.executable, "scripts/findings.py", "--check"], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
