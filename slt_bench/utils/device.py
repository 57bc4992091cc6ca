"""The device that a user named."""

import torch

from slt_bench.utils.errors import UserError


def pick_device(device: str) -> str:
    """The device that `auto` means on this machine; any other as it is."""
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


def check_device(text: str) -> None:
    """Find out whether a device can be used here.

    Args:
        text: As typed: auto, cpu, cuda, cuda:1, ...

    Raises:
        UserError: It cannot.
    """
    if text == "auto":
        return
    here = "auto, cpu, cuda or cuda:N" if torch.cuda.is_available() else "auto or cpu; there is no CUDA device"
    try:
        device = torch.device(text)
    except RuntimeError as error:
        raise UserError(f"The device '{text}' cannot be used here: it is no device's name. Take {here}.") from error
    try:
        torch.empty(1, device=device).cpu()  # fails on devices that are absent, or hold no numbers as "meta" does
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0].partition(". ")[0].rstrip(".!")
        raise UserError(f"The device '{text}' cannot be used here: {reason}. Take {here}.") from error
