"""What torch can compute on here: a device that works, in numbers that suit it."""

from __future__ import annotations

from indexes.errors import InputError


def checked_device(device: str | None) -> str | None:
    """The device, once it has held a number.

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
            f"Device '{device}' cannot be used here: {reason}. Without a device, the best one is "
            "taken; 'cpu' is always there."
        ) from None
    return device


def best_device(asked: str | None) -> str:
    """The device, once it has held a number; without one torch's best that is there.

    Raises:
        InputError: torch does not know it, or this machine does not have it.
    """
    import torch

    if device := checked_device(asked):
        return device
    found = torch.accelerator.current_accelerator(check_available=True)
    return "cpu" if found is None else found.type


def on_processor(device: str | None) -> bool:
    """Whether a model for this device computes on the processor; None: on the best device."""
    return (device or usual_device()).partition(":")[0] == "cpu"


def computes_bfloat16(device: str | None = None) -> bool:
    """Whether a device, or else the best one, has instructions for bfloat16."""
    import torch

    if not on_processor(device):
        return bool(torch.cuda.is_available() and torch.cuda.is_bf16_supported())
    processor = torch.cpu.get_capabilities()
    return bool(processor.get("avx512_bf16") or processor.get("amx_bf16"))


def fastest_precision(device: str | None) -> str:
    """The precision that torch is fastest in on a device."""
    if computes_bfloat16(device):
        return "bfloat16"
    return "float32" if on_processor(device) else "float16"


def usual_device() -> str:
    """The torch device that a model is put on where none is named, such as `cpu` or `cuda:0`."""
    from sentence_transformers.util import get_device_name

    return str(get_device_name())
