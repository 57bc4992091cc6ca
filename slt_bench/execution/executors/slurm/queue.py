"""SLURM's queue, asked by its own commands; works with and without accounting, since squeue needs none."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence

from slt_bench.utils.errors import UserError

PATIENCE_SECONDS = 60
DEFAULT_MAX_ARRAY = 1001
MANY = 200  # tasks in a command
UNSETTLED = ("PENDING", "RUNNING", "COMPLETING", "REQUEUED", "SUSPENDED")  # as accounting lags behind


def check_available() -> None:
    """Find out whether there is a SLURM.

    Raises:
        UserError: There is none here.
    """
    missing = [name for name in ("sbatch", "squeue", "srun", "scancel") if shutil.which(name) is None]
    if missing:
        raise UserError(
            f"--executor slurm needs SLURM's commands, and there is no {missing[0]} here. Run it where jobs are "
            "submitted from, or take --executor local."
        )


def tasks_in_queue() -> dict[str, str] | None:
    """The state of every task of ours that is pending, running or ending, by its id as in 123_4 or 123.

    None where the queue cannot be asked now: then nothing is known.
    """
    answer = _run("squeue", "--me", "--noheader", "--array", "--format=%i %T")
    if answer is None:
        return None
    pairs = (line.split() for line in answer.splitlines() if line.strip())
    return {words[0]: words[1] for words in pairs if len(words) == 2}


def is_being_preempted(task: str) -> bool:
    """Whether SLURM is taking the place of a task of ours that has been asked to end, to put it back into the queue."""
    found = re.search(r"JobState=(\S+).*PreemptTime=(\S+)", _run("scontrol", "show", "job", task) or "", re.DOTALL)
    return found is not None and found[1] == "RUNNING" and found[2] != "None"


def what_became_of(tasks: Sequence[str]) -> dict[str, str]:
    """What SLURM's accounting says of tasks that have left the queue, by their ids, as far as it knows."""
    found: dict[str, str] = {}
    for start in range(0, len(tasks), MANY):
        ids = ",".join(tasks[start : start + MANY])
        form = "--format=JobID,State,ExitCode"
        answer = _run("sacct", "--noheader", "--parsable2", "--allocations", form, "--jobs", ids)
        for line in (answer or "").splitlines():
            words = line.split("|")
            if len(words) == 3 and words[1] not in UNSETTLED:
                found[words[0]] = f"{words[1].lower()}, exit code {words[2]}"
    return found


def cancel(tasks: Sequence[str]) -> None:
    """End tasks or whole arrays; those that have ended already are no error.

    Raises:
        UserError: SLURM refuses.
    """
    for start in range(0, len(tasks), MANY):
        command = ["scancel", *tasks[start : start + MANY]]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise UserError(f"scancel gave no answer within {PATIENCE_SECONDS} s; try again.") from error
        if done.returncode and "Invalid job id" not in done.stderr:
            raise UserError(f"scancel refused: {done.stderr.strip()}")


def max_array_size() -> int:
    """How many tasks this cluster takes in an array."""
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", _run("scontrol", "show", "config") or "", re.MULTILINE)
    return max(1, int(found[1])) if found else DEFAULT_MAX_ARRAY


def _run(*command: str) -> str | None:
    """What a command prints; None where it is missing, fails, or takes too long."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("SQUEUE_", "SACCT_"))}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=PATIENCE_SECONDS, env=environment
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
