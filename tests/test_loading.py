"""Loading torch: what is loaded, and that Python's collector works afterwards as it did before."""

import subprocess
import sys

import pytest


def _fresh(code: str) -> str:
    """What a process that has loaded nothing prints."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("state", ["enable", "disable"])
def test_nothing_is_collected_while_torch_loads_and_the_collector_is_left_as_it_was(state):
    code = f"""
import gc, sys
from slt_bench.loading import load_torch
gc.{state}()
before, collections = gc.isenabled(), []
gc.callbacks.append(lambda phase, _: collections.append(phase))
load_torch("torch._dynamo", "sklearn.datasets")
print(len(collections), gc.isenabled() == before, gc.get_freeze_count() > 100_000)
print({{"torch", "torch._dynamo", "sklearn.datasets"}} <= sys.modules.keys())
"""
    assert _fresh(code).split() == ["0", "True", "True", "True"]


def test_a_second_call_freezes_nothing_more():
    code = """
import gc
from slt_bench.loading import load_torch
load_torch()
before, more = gc.get_freeze_count(), [[] for _ in range(1000)]
load_torch()
print(gc.get_freeze_count() == before)
"""
    assert _fresh(code).split() == ["True"]


def test_a_module_that_is_not_there_leaves_the_collector_on():
    code = """
import gc
from slt_bench.loading import load_torch
try:
    load_torch("not_there")
except ImportError as error:
    print(error.name, gc.isenabled())
"""
    assert _fresh(code).split() == ["not_there", "True"]


def test_nothing_that_was_loaded_is_looked_through_again_at_the_end():
    code = """
import gc
from slt_bench.loading import load_torch
load_torch()
gc.unfreeze()
gc.callbacks.append(lambda phase, _: phase == "start" and print(len(gc.get_objects()) < 10_000))
"""
    assert _fresh(code).split()[-1:] == ["True"]
