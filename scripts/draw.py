"""Draw every page and figure that git keeps, from committed records: python scripts/draw.py."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
NETWORKS = ["paper_cpu", "paper_cpu_wrn", "paper_cpu_conv2", "paper_cpu_vit", "paper_cpu_swin"]
COMMANDS = (
    ["-m", "slt_bench", "report", "paper_tuned"],
    [
        *("-m", "slt_bench", "report", *NETWORKS),
        *("--archs", "lenet300,wrn10_1,conv2,vit_micro,swin_micro"),
        *("--methods", "gates,gates_best,edgepopup,continuous_sparsification"),
        *("--out", "reports/networks"),
    ],
    ["scripts/findings.py"],
)

for command in COMMANDS:
    print("python", *command)
    subprocess.run([sys.executable, *command], cwd=ROOT, check=True)
