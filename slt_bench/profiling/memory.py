"""The peak memory of a few steps of one subject, alone: on a CPU in a process of its own."""

import multiprocessing

import torch

from slt_bench.profiling.subject import ProfiledMethod, ProfileOptions
from slt_bench.utils.machine import keep_freed_memory, peak_memory_mb, reset_peak_memory

STEPS = 3


def peak_memory(name: str, arch: str, wish: ProfileOptions, optimizer: str = "") -> float:
    """MiB, as records have it: of the process, or on CUDA what was allocated there.

    Args:
        name: The method.
        arch: The architecture.
        wish: How steps are taken.
        optimizer: As `Subject.build` takes it.
    """
    if torch.device(wish.device).type == "cuda":
        return _measure(name, arch, wish, optimizer, 1)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measure, (name, arch, wish, optimizer, torch.get_num_threads()))


def _measure(name: str, arch: str, wish: ProfileOptions, optimizer: str, threads: int) -> float:
    device = torch.device(wish.device)
    if device.type == "cpu":
        torch.set_num_threads(threads)
        keep_freed_memory()
    reset_peak_memory(device)
    subject = ProfiledMethod.build(name, arch, wish, optimizer)
    for step in range(STEPS):
        subject.step(step / STEPS)
    return peak_memory_mb(device)
