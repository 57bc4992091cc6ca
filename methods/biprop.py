"""Biprop: multi-prize tickets of binary weights (Diffenderfer and Kailkhura, ICLR 2021, arXiv 2103.09377).

This is MPT-1/32: binary weights, full-precision activations.

Edge-popup whose kept weights are binarised with one scale a layer, the mean size of those that it keeps:

    w_eff = alpha * sign(w) * h(s),   alpha = mean |w| over h(s) = 1;        dL/ds = dL/dw_eff * w * sign(s)

(over all of a layer that keeps nothing) so that the gradient is edge-popup's, taken at the binarised network: in the
authors' code alpha is neither a factor nor differentiated in it (chrundle/biprop, utils/conv_type.py). There, alpha
divides by floor(density * n), which can be one less than what is kept; here by what is kept. Under `signed_constant`
weights alpha is their size, and biprop is edge-popup. Their scaling of the fan, right only at density 1/2, gives way
to the network's `rescale`; "authors" gives it back.

The optimiser is the authors' on Conv-2 to 8: SGD, learning rate 0.1, momentum 0.9, weight decay 1e-4, cosine.
"""

import torch
from torch import Tensor

from slt_bench.method import straight_through
from slt_bench.methods.edgepopup import EdgePopup


class Biprop(EdgePopup):
    """Edge-popup over binarised weights, a scale a layer."""

    name = "biprop"
    version = 1
    paper = "arXiv 2103.09377"
    sparsity_control = "exact"
    purity = "rescaled"

    def effective(self) -> Tensor:
        """Alpha * sign(w) where the mask keeps w; the gradient reaches |s| as dL/dw_eff * w."""
        rank = self.rank()
        mask = self.top(rank, self.sparsity)
        binary = self._binary(mask)
        if rank.requires_grad:
            ratio = self.network.weights / binary
            rank.register_hook(lambda gradient: gradient * ratio)
        return self.network.effective(straight_through(mask, rank), binary)

    def changed_weights(self) -> Tensor:
        """The binarised weights."""
        return self._binary(self.mask())

    def _binary(self, mask: Tensor) -> Tensor:
        sizes = self.network.sizes
        parts = zip(self.network.weights.abs().split(sizes), mask.split(sizes), strict=True)
        alpha = torch.stack([_mean_of_kept(size, kept) for size, kept in parts])
        return self.network.spread(alpha) * self.network.weights.sign()


def _mean_of_kept(values: Tensor, kept: Tensor) -> Tensor:
    """The mean of the values that are kept, a scalar; of all where none is. On CUDA nothing waits for the device."""
    if not values.is_cuda:
        return (values[kept] if kept.any() else values).mean()
    kept = kept | ~kept.any()
    return torch.where(kept, values, 0.0).sum() / kept.sum()
