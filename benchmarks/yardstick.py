"""Dense training in plain PyTorch, timed beside the suite's own: what the frozen network costs before any gate.

    python benchmarks/yardstick.py --arch resnet18 --batch-size 256 --precision bf16

The loop is what one would write in a file of its own: images on the device, flipped and shifted there (one shift a
batch), channels last, a fused optimiser. Steps of both are taken in turns, and the ratio is the median of the rounds'.
"""

import argparse
from collections.abc import Callable
from time import perf_counter

import numpy as np
import torch
from torch.nn import functional

from slt_bench import archs
from slt_bench.data import find
from slt_bench.profiling.subject import Subject, Wish

WARM_UP = 3


def main() -> None:
    """Print a line: milliseconds a step of both, their ratio with its quartiles, images a second."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", default="resnet18")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--precision", choices=["float32", "bf16"], default="float32")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--compile", action="store_true")
    asked = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    wish = Wish(asked.batch_size, asked.precision, asked.compile, device)
    dense, plain = Subject.build("dense", asked.arch, wish, "sgd"), plain_step(asked.arch, wish)
    times = np.array([(timed(plain), timed(lambda: dense.step(0.5))) for _ in range(WARM_UP + asked.rounds)])[WARM_UP:]
    low, middle, high = np.percentile(times[:, 1] / times[:, 0], (25, 50, 75))
    ours, theirs = 1000 * np.median(times, axis=0)[::-1]
    print(
        f"{asked.arch}, batches of {wish.batch_size}, {wish.precision}, {device}: plain {theirs:.2f} ms a step "
        f"({1000 * wish.batch_size / theirs:.0f} images a second), slt_bench {ours:.2f} ms, "
        f"ratio {middle:.2f} ({low:.2f} to {high:.2f})"
    )


def plain_step(arch: str, wish: Wish) -> Callable[[], None]:
    """A function that takes a step of dense training."""
    device, info = torch.device(wish.device), find(archs.find(arch).dataset)
    images = torch.randn(4 * wish.batch_size, *info.shape, device=device).to(memory_format=torch.channels_last)
    labels = torch.randint(info.classes, (len(images),), device=device)
    network = archs.find(arch).build(info.shape, info.classes).to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4, fused=True)
    forward = torch.compile(network) if wish.compiled else network

    def step() -> None:
        rows = torch.randint(len(images), (wish.batch_size,), device=device)
        batch = images[rows].roll((1, -1), (2, 3)).flip(3)
        with torch.autocast(device.type, torch.bfloat16, enabled=wish.precision == "bf16"):
            loss = functional.cross_entropy(forward(batch).float(), labels[rows])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step


def timed(step: Callable[[], None]) -> float:
    """Seconds until the device has ended a step."""
    start = perf_counter()
    step()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return perf_counter() - start


if __name__ == "__main__":
    main()
