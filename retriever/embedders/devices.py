"""Devices, precisions and threads that torch computes with on this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from indexes.errors import InputError
from indexes.storage.forking import in_child
from indexes.threads import SHORT_TOKENS, threads


def survive_forks() -> None:
    """Let models compute with one thread in forked children; with more, they would wait forever.

    Also where the caller has computed with torch, and a child is the first to load a model.
    """
    in_child("torch", _limit_threads)


def _limit_threads() -> None:
    # Only what this process has imported can have threads; another thread may be importing it.
    if limit := getattr(sys.modules.get("torch"), "set_num_threads", None):
        limit(1)
    if "tokenizers" in sys.modules:
        # It turns its threads off in a child by itself, unless this variable turns them on.
        os.environ["TOKENIZERS_PARALLELISM"] = "false"


@contextmanager
def computing(tokens: int) -> Iterator[None]:
    """Let torch compute a short text in one thread; else in no more threads than are allowed."""
    import torch

    before = torch.get_num_threads()
    wanted = 1 if tokens <= SHORT_TOKENS else min(before, threads())
    if wanted == before:
        yield
        return
    torch.set_num_threads(wanted)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def validate_device(device: str | None) -> str | None:
    """Return the device after allocating a tensor on it.

    Raises:
        InputError: torch does not know it, or this machine does not have it.
    """
    if device is None:
        return None
    import torch

    try:
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"Device '{device}' cannot be used here: {reason}. Leave the device out to use "
            "the best one, or choose 'cpu', which is always available."
        ) from None
    return device


def best_device(device: str | None) -> str:
    """Return the device after allocating a tensor on it; for None, the best one available.

    Raises:
        InputError: torch does not know it, or this machine does not have it.
    """
    import torch

    if validate_device(device):
        return str(device)
    found = torch.accelerator.current_accelerator(check_available=True)
    return "cpu" if found is None else found.type


def on_processor(device: str | None) -> bool:
    """Return whether a model on this device runs on the CPU; None is the default device."""
    return (device or usual_device()).partition(":")[0] == "cpu"


def computes_bfloat16(device: str | None = None) -> bool:
    """Return whether a device, by default the best one, has bfloat16 instructions."""
    import torch

    if not on_processor(device):
        return bool(torch.cuda.is_available() and torch.cuda.is_bf16_supported())
    found = torch.cpu.get_capabilities()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))


def fastest_precision(device: str | None) -> str:
    """Return the precision that is fastest in torch on a device."""
    if computes_bfloat16(device):
        return "bfloat16"
    return "float32" if on_processor(device) else "float16"


def usual_device() -> str:
    """Return torch's default device for a model, such as `cpu` or `cuda:0`."""
    from sentence_transformers.util import get_device_name

    return str(get_device_name())
