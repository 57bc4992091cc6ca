"""A process of the local executor's: python -m slt_bench.execution.child < work.json."""

import ctypes
import os
import signal
import sys

PARENT = "SLT_BENCH_PARENT"  # the environment variable with the id of the process that started this one
BUSY = 75  # exit code: another process is at a job
PR_SET_PDEATHSIG = 1


def main() -> int:
    """Do the work that standard input describes; the exit code."""
    stop_with_parent()
    from slt_bench.errors import UserError  # noqa: PLC0415 - torch takes seconds, in which the parent may end
    from slt_bench.execution.stop import Stopped, Stopper  # noqa: PLC0415
    from slt_bench.execution.unit import run_unit  # noqa: PLC0415
    from slt_bench.execution.work import Work  # noqa: PLC0415

    work = Work.model_validate_json(sys.stdin.read())
    try:
        with Stopper() as stopper:
            return BUSY if run_unit(work, stopper) else 0
    except Stopped as stopped:
        return 128 + stopped.signum
    except UserError as error:
        print(f"slt_bench: {error}", file=sys.stderr)
        return error.exit_code


def stop_with_parent() -> None:
    """Be asked to stop when the process that started this one ends, whatever ends it; on Linux."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.environ.get(PARENT, str(os.getppid())) != str(os.getppid()):
        sys.exit(128 + signal.SIGTERM)  # it has ended already


if __name__ == "__main__":
    sys.exit(main())
