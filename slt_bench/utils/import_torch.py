"""Loading torch without looking for garbage meanwhile."""

import atexit
import gc
import os
import sys
from importlib import import_module

OPTIMISERS = "torch._dynamo"  # the first of them loads it, whether anything is compiled or not
SPINS = "5000"


def load_torch(*others: str) -> None:
    """Import torch, and other modules that stay for as long as the process does, sooner than `import` would.

    Torch is half a million objects. Python would look through them for garbage hundreds of times while they come to
    be, again now and then, and once more before it ends; none of them ever is.

    Torch's threads spin for some tenths of a millisecond while they wait for each other, then they sleep, unless
    OMP_WAIT_POLICY or GOMP_SPINCOUNT says otherwise. By default they spin for many milliseconds: on a busy machine they
    take the cores from the threads that they wait for, and a step takes up to fifty times as long.

    Args:
        others: Names of modules, imported after torch in their order, as `OPTIMISERS`.

    Raises:
        ImportError: There is no such module.
    """
    names = ("torch", *others)
    if all(name in sys.modules for name in names):
        return
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)  # torch's OpenMP reads it when it loads
    was_on = gc.isenabled()
    gc.disable()
    try:
        for name in names:
            import_module(name)
    finally:
        gc.freeze()
        if was_on:
            gc.enable()
    atexit.register(gc.freeze)
