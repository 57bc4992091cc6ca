"""What the fork server has loaded when it forks: importing this module loads it all."""

from slt_bench.utils.import_torch import OPTIMISERS, load_torch

load_torch(
    OPTIMISERS,
    "slt_bench.execution.executors.local_child",
    "slt_bench.cli",  # a process finds it in its main module
    "sklearn.datasets",  # of the data set digits
)
