"""Writing over what was computed: a vector of N numbers less, and a pass over it.

What an operation keeps for its gradient must not be its result, as that of `exp` or `sigmoid` is: autograd refuses the
backward pass then. Sums, products with constants and absolute values keep nothing of it.
"""

import torch
from torch import Tensor


def numbers_of(computed: Tensor) -> Tensor:
    """The numbers of what was computed, without its gradient's record, to be written over.

    Raises:
        ValueError: They are a parameter's, or some of one's, and would be lost.
    """
    owner = computed if computed._base is None else computed._base  # noqa: SLF001 - of a view, what it is a view of
    if owner.is_leaf and owner.requires_grad:
        raise ValueError("A parameter was to be written over; only what is computed from it may be.")
    return computed.detach()


def straight_through_(mask: Tensor, scores: Tensor) -> Tensor:
    """As `straight_through`, written over the scores, which nobody else may need.

    Args:
        mask: (n,) bool, or numbers.
        scores: (n,), computed from parameters.

    Returns:
        The scores, which hold the mask now, and pass its gradient on as their own.

    Raises:
        ValueError: The scores are a parameter.
    """
    numbers_of(scores).copy_(mask.view(torch.uint8) if mask.dtype == torch.bool else mask)
    return scores
