"""A method that takes its time, for tests that stop or kill a search: it lasts on a fast machine as on a busy one."""

import os
import time

import torch
from torch import nn

from slt_bench.method import Method, OptimizerSettings, keep_top, straight_through

PAUSE = "SLT_BENCH_TEST_PAUSE"


class Patient(Method):
    """Top scores over all layers, seen through noise; each step waits for so many seconds as the environment says."""

    name, version, paper = "patient", 1, "a test"
    sparsity_control, purity = "exact", "frozen"

    class Settings(OptimizerSettings):
        """Fast enough for a short search."""

        lr: float = 0.03

    def __init__(self, network, settings, sparsity):
        super().__init__(network, settings, sparsity)
        self.scores = nn.Parameter(0.01 * torch.randn(network.n, generator=self.generator))

    def gates(self):
        time.sleep(float(os.environ.get(PAUSE, "0")))
        noise = 0.01 * torch.randn(self.network.n, generator=self.generator)
        return straight_through(self.top(self.scores.detach() + noise), self.scores)

    def mask(self):
        return self.top(self.scores)

    def top(self, scores):
        return keep_top(scores, scores.numel() - round(self.sparsity * scores.numel()))
