"""What this machine computes with: its processor, the threads for it, its accelerators."""

from __future__ import annotations

import os
import platform
from pathlib import Path

# Where Linux shows what torch may compute on: NVIDIA, AMD and WSL, Intel, Habana and the like.
DEVICES = ("nvidia[0-9]*", "kfd", "dxg", "dri/render*", "accel/*", "davinci[0-9]*")
# What hides accelerators from one process.
HIDING = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")


def processor() -> str:
    """What this machine computes with, in words."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads() -> int:
    """How many threads this process may compute with: its cores, or OMP_NUM_THREADS if fewer."""
    wished = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return min(cores(), int(wished)) if wished.isdecimal() and int(wished) > 0 else cores()


def accelerators() -> tuple[str, ...]:
    """What may decide whether torch computes on something else than the processor.

    Equal answers mean that nothing was plugged in, hidden or shown; asking torch would take
    seconds.
    """
    found = sorted(str(path) for name in DEVICES for path in Path("/dev").glob(name))
    hidden = [f"{name}={os.environ[name]}" for name in HIDING if name in os.environ]
    return (platform.system(), platform.machine(), *found, *hidden)
