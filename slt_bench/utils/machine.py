"""What a record tells of the machine and the software that made it."""

import contextlib
import ctypes
import importlib.metadata
import os
import platform
import resource
import subprocess
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import torch

import slt_bench

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # as in glibc's malloc.h
PACKAGES = ("torch", "torchvision", "timm", "numpy")


def provenance(device: torch.device) -> dict[str, Any]:
    """Versions, commit, hardware and time."""
    return _fixed(device) | {
        "threads": torch.get_num_threads(),
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
    }


@cache
def _fixed(device: torch.device) -> dict[str, Any]:
    return {
        "slt_bench": slt_bench.__version__,
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in PACKAGES},
        "commit": _commit(),
        "device": device.type,
        "hardware": torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(),
        "cores": os.cpu_count(),
    }


def _commit() -> str:
    """The commit of the checkout that the suite runs from, with "+" where files were changed; empty without one."""
    folder = Path(slt_bench.__file__).parent
    git = ["git", "-C", str(folder)]
    try:
        top = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        dirty = subprocess.run(
            [*git, "status", "--porcelain", "--", ".", "../methods"], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""
    return top[:12] + ("+" if dirty.strip() else "")


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


@cache
def keep_freed_memory() -> bool:
    """Have glibc keep what is freed for the next step, instead of giving it back to the system.

    Activations and gradients of a step are as large as those of the last one; to get their pages anew costs a step of
    conv2 a third of its time. Nothing else changes.

    Returns:
        Whether the allocator could be told so: that of Linux's glibc can.
    """
    glibc = _glibc()
    return bool(glibc and glibc.mallopt(M_MMAP_THRESHOLD, 2**30) and glibc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1))


def _glibc() -> ctypes.CDLL | None:
    with contextlib.suppress(OSError):
        return ctypes.CDLL("libc.so.6")
    return None


def reset_peak_memory(device: torch.device) -> None:
    """Start to measure the peak anew, where the system lets us."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    if glibc := _glibc():
        glibc.malloc_trim(0)  # what an earlier job left is not this one's
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_mb(device: torch.device) -> float:
    """The most memory held since the reset, in MiB: of the CUDA device, or of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
