"""Dense training in plain PyTorch, timed beside the suite's own: what the frozen network costs before any gate.

    python scripts/yardstick.py --arch resnet18 --batch-size 256 --precision bf16

The loop is what one would write in a file of its own: images on the device, flipped and shifted there (one shift a
batch), channels last, a fused optimiser. Both take four steps in turn, and the ratio is the median of such rounds'.
"""

import argparse
from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional

from slt_bench.data import find
from slt_bench.network import architectures
from slt_bench.profiling.subject import ProfiledMethod, ProfileOptions
from slt_bench.profiling.timing import time_steps
from slt_bench.training.step import autocast


def main() -> None:
    """Print a line: milliseconds a step of both, their ratio with its quartiles, images a second."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", default="resnet18")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--precision", choices=["float32", "bf16"], default="float32")
    parser.add_argument("--rounds", type=int, default=5, help="of four steps of each")
    parser.add_argument("--compile", action="store_true")
    asked = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    wish = ProfileOptions(asked.batch_size, asked.precision, asked.compile, device)
    plain, dense = time_steps(
        [Plain(asked.arch, wish), ProfiledMethod.build("dense", asked.arch, wish, "sgd")], 0, asked.rounds
    )
    middle, low, high = dense.ratio(plain)
    theirs, ours = (1000 * float(np.median(times.wall)) for times in (plain, dense))
    print(
        f"{asked.arch}, batches of {wish.batch_size}, {wish.precision}, {device}: plain {theirs:.2f} ms a step "
        f"({1000 * wish.batch_size / theirs:.0f} images a second), slt_bench {ours:.2f} ms, "
        f"ratio {middle:.2f} ({low:.2f} to {high:.2f})"
    )


class Plain:
    """Dense training that takes steps."""

    def __init__(self, arch: str, wish: ProfileOptions) -> None:
        self.device, self.wish, info = torch.device(wish.device), wish, find(architectures.find(arch).dataset)
        images = torch.randn(4 * wish.batch_size, *info.shape, device=self.device)
        self.images = images.to(memory_format=torch.channels_last)
        self.labels = torch.randint(info.classes, (len(images),), device=self.device)
        network = architectures.find(arch).build(info.shape, info.classes)
        network = network.to(self.device, memory_format=torch.channels_last)
        self.optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4, fused=True)
        self.forward = torch.compile(network) if wish.compiled else network

    def step(self, _: float, lap: Callable[[str], None]) -> None:
        """One step, timed as a whole."""
        rows = torch.randint(len(self.images), (self.wish.batch_size,), device=self.device)
        batch = self.images[rows].roll((1, -1), (2, 3)).flip(3)
        with autocast(self.wish.precision, self.device):
            loss = functional.cross_entropy(self.forward(batch).float(), self.labels[rows])
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        lap("update")


if __name__ == "__main__":
    main()
