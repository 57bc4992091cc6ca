"""Edge-popup (Ramanujan et al., "What's hidden in a randomly weighted neural network?", CVPR 2020).

One score s a weight. A layer keeps its weights of largest |s|; the gradient passes the mask as if it were the identity,
so that a score learns as much as its edge would help:

    h(s) = 1 where |s| is not among the floor(sparsity * n) smallest of its layer's n, else 0;  dL/ds = dL/dh * sign(s)

Scores start as Kaiming-uniform numbers with a = sqrt 5, that is uniform within 1 / sqrt(fan_in). `scope` "global"
ranks the scores of all layers together. The threshold is found by selection; the authors' code sorts. Their other
convention, weights divided by the root of the kept fraction, is the network's `rescale`: "density".

The optimiser is the authors' for their fully connected network and Conv-2 to 8: SGD with momentum 0.9, learning rate
0.1, weight decay 1e-4, and the suite's cosine schedule (on ResNet-18 they take 5e-4).
"""

from ._scores import Scores, ScoreSettings


class Settings(ScoreSettings):
    """Settings of `edgepopup`."""


class EdgePopup(Scores):
    """Top scores by magnitude, with a straight-through gradient."""

    name, version, paper = "edgepopup", 1, "arXiv 1911.13299"
    sparsity_control, purity = "exact", "frozen"
    settings_class = Settings
