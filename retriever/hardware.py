"""Hardware of this machine: processor and accelerators."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

# Device files of what torch may compute on: NVIDIA, AMD and WSL, Intel, Habana and others.
DEVICES = ("nvidia[0-9]*", "kfd", "dxg", "dri/render*", "accel/*", "davinci[0-9]*")
# Variables that hide accelerators from a process.
HIDING = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")

# Instructions on vectors and matrices, as Linux names them.
COMPUTING = re.compile(r"avx|amx|fma|f16c|sse4|asimd|sve|sme|bf16|i8mm")


# Of these, what decides the speed of products, from the fastest: features, and their usual name.
FASTEST = (
    ("amx_int8", "AMX"),
    ("avx512_vnni", "AVX-512 VNNI"),
    ("avx512f", "AVX-512"),
    ("avx_vnni", "AVX2 VNNI"),
    ("avx2", "AVX2"),
    ("i8mm", "I8MM"),
    ("asimddp", "Neon dot product"),
    ("asimd", "Neon"),
)


def processor() -> str:
    """Return the name of the processor, and the fastest of its instructions for products."""
    features = processor_features()
    fastest = next((name for feature, name in FASTEST if feature in features), "")
    return ", ".join(filter(None, (processor_name(), fastest)))


def processor_name() -> str:
    """Return the name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def processor_features() -> tuple[str, ...]:
    """Return the instructions of the processor that models compute with, such as `avx512_vnni`.

    Processors of one name may differ in them: a virtual machine hides the model, or some of them.
    """
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ()
    # `flags` on x86, `Features` on ARM.
    listed = [line.partition(":")[2] for line in lines if line.startswith(("flags", "Features"))]
    return tuple(
        sorted(word for word in set(" ".join(listed[:1]).split()) if COMPUTING.match(word))
    )


def accelerators() -> tuple[str, ...]:
    """Return what determines the devices torch can use: platform, device files, variables.

    Equal values mean that no device was added, removed or hidden; querying torch takes seconds.
    """
    found = sorted(str(path) for name in DEVICES for path in Path("/dev").glob(name))
    hidden = [f"{name}={os.environ[name]}" for name in HIDING if name in os.environ]
    return (platform.system(), platform.machine(), *found, *hidden)
