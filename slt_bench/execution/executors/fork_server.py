"""The server from which the local executor's processes are forked: it loads torch once, for all of them.

Nothing heavy loads here, so that a run can start the server first of all, and prepare while it loads.
"""

import signal
from multiprocessing import forkserver, resource_tracker

from slt_bench.execution.worker.signals import SIGNALS

PRELOAD = "slt_bench.execution.executors.preloaded"


def start_server() -> None:
    """Have a fork server, which no signal stops: it ends when this process and all that it forked have ended.

    Raises:
        OSError: It cannot be started.
    """
    resource_tracker.ensure_running()  # its start would let signals through
    forkserver.set_forkserver_preload([PRELOAD])
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
