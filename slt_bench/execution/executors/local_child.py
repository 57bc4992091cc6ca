"""A process of the local executor's: forked from a server that has loaded torch, it does one job.

Python's fork server loads this module once, so that a job costs a fork instead of seconds of imports. The server
computes nothing, so that a process is as a fresh one: it sets its environment, threads and session itself.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Mapping
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from slt_bench.execution.executors.fork_server import start_server
from slt_bench.execution.worker.signals import SIGNALS, Stopped, Stopper
from slt_bench.execution.worker.task import run_unit
from slt_bench.execution.worker.task_spec import TaskSpec
from slt_bench.utils.errors import UserError

BUSY = 75  # exit code: another process is at a job


def start(work: TaskSpec, log: Path, environment: Mapping[str, str]) -> ForkServerProcess:
    """Start a process. It is asked to stop when the one that calls this ends, whatever ends that.

    Args:
        work: What it is to do.
        log: Takes what it prints.
        environment: Its whole environment.

    Raises:
        OSError, EOFError: No process can be started.
    """
    start_server()
    text = work.model_dump_json()
    process = multiprocessing.get_context("forkserver").Process(target=_run, args=(text, str(log), dict(environment)))
    process.start()
    return process


def _run(work: str, log: str, environment: Mapping[str, str]) -> None:
    os.setsid()  # Ctrl-C is for the run, which passes it on
    os.environ.clear()
    os.environ.update(environment)
    _print_into(log)
    sys.exit(_exit_code(work))


def _exit_code(work: str) -> int:
    try:
        with Stopper() as stopper:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            threading.Thread(target=_stop_with_parent, daemon=True).start()
            return BUSY if run_unit(TaskSpec.model_validate_json(work), stopper) else 0
    except Stopped as stopped:
        return 128 + stopped.signum
    except UserError as error:
        print(f"slt_bench: {error}", file=sys.stderr)
        return error.exit_code


def _print_into(log: str) -> None:
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in (1, 2):
        os.dup2(target, number)
    os.close(target)


def _stop_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
