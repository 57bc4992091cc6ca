"""Which units a search silences: how many ReLUs of each layer answer no image at all, step by step.

    python scripts/silent_units.py paper_cpu_conv2 gates --sparsity 0.9 --seed 1

A unit, or a channel of a convolution, that is zero for every image has no gradient left, and what leads to it does not
learn until it answers again (Lu et al. 2019, "Dying ReLU and initialization"). The search is that of the benchmark's
job; between its steps the relaxed network looks at validation images. Of networks whose ReLUs are modules: lenet300,
mlp..., conv2 to 8.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from slt_bench.data import default_root
from slt_bench.data.dataset import Dataset
from slt_bench.data.dataset import load as load_data
from slt_bench.data.pipeline import normalise
from slt_bench.execution.worker.measure import network_of
from slt_bench.jobs import benchmark, grid
from slt_bench.jobs.benchmark import Job, resolve_settings
from slt_bench.method import Method
from slt_bench.network.architectures import is_leaky
from slt_bench.network.frozen import FrozenNetwork
from slt_bench.registry import Registry, load_registry
from slt_bench.training import rng_state
from slt_bench.training.loop import search

IMAGES = 256
SHOWN = {0, *(2**power for power in range(16))}  # steps


class Enough(Exception):  # noqa: N818 - the end of a search that is watched for some steps only
    """As many steps were watched as was asked."""


class Watch:
    """Prints, between the steps of a search, what the network is like."""

    def __init__(self, method: Method, network: FrozenNetwork, data: Dataset, steps: int) -> None:
        self.method, self.network, self.steps, self.step = method, network, steps, -1
        self.images = normalise(data.validation.images[:IMAGES], data.info)
        self.labels = data.validation.labels[:IMAGES]
        self.silent: list[float] = []
        for module in network.skeleton.modules():
            if isinstance(module, nn.ReLU):
                module.register_forward_hook(self._see)

    def __call__(self, _: float) -> None:
        """Before each step."""
        self.step += 1
        if self.step in SHOWN or self.step == self.steps:
            self._look()
        if self.step == self.steps:
            raise Enough

    @torch.no_grad()
    def _look(self) -> None:
        state = rng_state.get_all(self.network.device)
        self.method.eval()
        self.network.eval()
        self.silent.clear()
        logits = self.network(self.images, self.method.effective())
        shares = [f"{share:8.1%}" for share in self.silent]
        right = float((logits.argmax(1) == self.labels).double().mean())
        loss = float(functional.cross_entropy(logits, self.labels))
        print(f"{self.step:5d} {loss:8.2f} {right:8.1%}  {''.join(shares)}", flush=True)
        self.method.train()
        self.network.train()
        rng_state.set_all(state, self.network.device)

    def _see(self, _: nn.Module, __: tuple[Tensor, ...], out: Tensor) -> None:
        answers = out.flatten(2).amax(2) if out.ndim == 4 else out  # (images, units)
        self.silent.append(float((answers.amax(0) <= 0).double().mean()))


def main() -> None:
    """Print a line a step that is shown: loss, accuracy, and the share of silent units in each layer of ReLUs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("benchmark")
    parser.add_argument("label", help="of a method there")
    parser.add_argument("--sparsity", type=float, default=0.9)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=64)
    parser.add_argument("--data-root", type=Path, default=default_root())
    asked = parser.parse_args()
    registry = load_registry()
    jobs = grid.jobs(benchmark.load(asked.benchmark), registry)
    wanted = (asked.label, asked.sparsity, asked.seed)
    job = next((job for job in jobs if (job.label, job.sparsity, job.seed) == wanted), None)
    if job is None:
        parser.error(f"{asked.benchmark} has no job of {asked.label} at sparsity {asked.sparsity:g}, seed {asked.seed}")
    if is_leaky(job.arch):
        parser.error(f"the leaky ReLUs of {job.arch} are never silent")
    if not job.arch.startswith(("lenet", "mlp", "conv")):
        parser.error(f"the ReLUs of {job.arch} cannot be watched; those of lenet300, mlp... and conv2 to conv8 can")
    print(f"{job.folder}: share of units that are zero for each of {IMAGES} images, by layer of ReLUs")
    print(" step     loss accuracy")
    watch(job, asked.data_root, asked.steps, registry)


def watch(job: Job, data_root: Path, steps: int, registry: Registry) -> None:
    """Search as the job does, and look on for so many steps."""
    data = load_data(job.dataset, data_root)
    network = network_of(job, data.info)
    rng_state.seed_all(job.seed)
    method = registry.find(job.method)(network, resolve_settings(job.method, job.settings, registry), job.sparsity)
    try:
        search(method, network, data, job.budget, job.seed, Watch(method, network, data, steps))
    except Enough:
        return


if __name__ == "__main__":
    main()
