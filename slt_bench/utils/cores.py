"""The CPU cores of this machine, and the threads that the user asked for; loads no torch."""

import os

from slt_bench.utils.errors import UserError

VARIABLE = "OMP_NUM_THREADS"


def count_cores() -> int:
    """Return the number of CPU cores that this process may use, at least 1."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_threads(threads: int | None) -> None:
    """Check that this machine has a core for each thread.

    Raises:
        UserError: It has fewer.
    """
    cores = count_cores()
    if threads and threads > cores:
        right = f"1 to {cores}" if cores > 1 else "1"
        raise UserError(f"--threads {threads} is more than this machine has cores ({cores}). Take {right}.")


def threads_of_environment() -> int | None:
    """Return the threads that OMP_NUM_THREADS asks for; None where it is unset or not a positive number.

    A list of numbers, as in "4,2", gives one for each nested level; the first counts.
    """
    first = os.environ.get(VARIABLE, "").partition(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) > 0 else None
