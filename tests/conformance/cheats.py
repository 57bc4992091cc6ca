"""Methods that break a promise, each in its own way. Every one derives from one that keeps them all."""

# ruff: noqa: ARG002 - the contract gives more than a cheat needs

import gc
import itertools
import random
import secrets

import torch
from sklearn.datasets import load_digits
from torch import nn

from slt_bench.data.dataset import Dataset
from slt_bench.data.dataset import load as load_data
from slt_bench.method import Method, MethodSettings, OptimizerSettings, keep_top, straight_through


class Honest(Method):
    """Top scores over all layers."""

    name, version, paper = "honest", 1, "a test"
    sparsity_control, purity = "exact", "frozen"

    class Settings(OptimizerSettings):
        """Fast enough for a short search."""

        lr: float = 0.03

    def __init__(self, network, settings, sparsity):
        super().__init__(network, settings, sparsity)
        self.scores = nn.Parameter(0.01 * torch.randn(network.n, generator=self.generator))

    def gates(self):
        return straight_through(self.mask(), self.scores)

    def mask(self):
        return self.keep_largest(self.scores)


class Detached(Honest):
    """Loses the gradient on the way from scores to gates."""

    name = "detached"

    def gates(self):
        return self.mask().float()


class DetachedLoss(Honest):
    """Loses it on the way to the loss."""

    name = "detached_loss"

    def objective(self, images, logits, labels):
        return super().objective(images, logits.detach(), labels)


class LossOfEach(Honest):
    """A loss of each image, not their mean."""

    name = "loss_of_each"

    def objective(self, images, logits, labels):
        return logits.logsumexp(1)


class Empties(Honest):
    """A layer in the middle keeps nothing."""

    name, layer = "empties", 1

    def mask(self):
        kept = super().mask()
        kept[self.network.layers[self.layer].slice] = False
        return kept


class EmptiesTheLast(Empties):
    """The last layer keeps nothing; its own scores still get a gradient."""

    name, layer = "empties_the_last", -1


class CountsInFractions(Honest):
    """Keeps 9,920.0 weights."""

    name = "counts_in_fractions"

    def mask(self):
        return keep_top(self.scores, (1 - self.sparsity) * self.scores.numel())


class CannotBeMade(Honest):
    """Fails when it is made."""

    name = "cannot_be_made"

    def __init__(self, network, settings, sparsity):
        super().__init__(network, settings, sparsity)
        raise KeyError("scores")


class TrainsWeights(Honest):
    """Trains the frozen weights a little, in place."""

    name = "trains_weights"

    def on_progress(self, fraction):
        if self.scores.grad is not None:
            self.network.weights.sub_(1e-4 * self.scores.grad)


class TrainsWeightsInItsLoss(Honest):
    """The same while its loss is made."""

    name = "trains_weights_in_its_loss"

    def objective(self, images, logits, labels):
        self.network.weights.mul_(1 - 1e-4)
        return super().objective(images, logits, labels)


class TrainsACopy(Honest):
    """Trains weights of its own, and does not say so."""

    name = "trains_a_copy"

    def __init__(self, network, settings, sparsity):
        super().__init__(network, settings, sparsity)
        self.own = nn.Parameter(network.weights.clone())

    def effective(self):
        return self.network.effective(self.gates(), self.own)


class TrainsWhatIsNotItsOwn(Honest):
    """Gives the frozen weights to its optimizer."""

    name = "trains_what_is_not_its_own"

    def optimizer(self):
        return torch.optim.Adam([self.scores, self.network.weights.clone().requires_grad_()], lr=0.01)


class TrainsAnEmbedding(Honest):
    """Changes what is frozen beside the weights: biases, scales, embeddings."""

    name = "trains_an_embedding"

    def on_progress(self, fraction):
        masked = {layer.name for layer in self.network.layers}
        for name, parameter in self.network.skeleton.named_parameters():
            if name not in masked:
                parameter.data.add_(0.01)


class SoftMask(Honest):
    """Takes numbers between 0 and 1 for its answer."""

    name = "soft_mask"

    def mask(self):
        return torch.sigmoid(100 * self.scores.detach())


class ShortMask(Honest):
    """Forgets the last layer."""

    name = "short_mask"

    def mask(self):
        return super().mask()[: -self.network.sizes[-1]]


class RestlessMask(Honest):
    """Draws its answer anew."""

    name = "restless_mask"

    def mask(self):
        return super().mask() ^ (torch.rand(self.network.n, generator=self.generator) < 0.001)


class HiddenScale(Honest):
    """Learns a scale a layer, and does not say so."""

    name = "hidden_scale"

    def __init__(self, network, settings, sparsity):
        super().__init__(network, settings, sparsity)
        self.scale = nn.Parameter(torch.ones(len(network.layers)))

    def effective(self):
        return super().effective() * self.network.spread(self.scale)


class ScaledGates(Honest):
    """Hides a scale in its gates."""

    name = "scaled_gates"

    def gates(self):
        return 1.5 * super().gates()


class Negative(Honest):
    """Flips signs with its gates."""

    name = "negative"

    def gates(self):
        return super().gates() - 0.5


class NoisyRelaxed(Honest):
    """Keeps its noise where it should be off."""

    name = "noisy_relaxed"

    def gates(self):
        return (super().gates() - 0.1 * torch.rand(self.network.n, generator=self.generator)).clamp(0, 1)


class Peeks(Honest):
    """Looks for data sets in the memory of the process, and asks one for its test split."""

    name = "peeks"

    def on_progress(self, fraction):
        for thing in gc.get_objects() if fraction == 1.0 else ():
            if type(thing) is Dataset:
                labels = thing.test.labels
                self.scores.data[: len(labels)] += labels.float()
                return


class PeeksAndHides(Peeks):
    """The same, and says nothing where it is refused."""

    name = "peeks_and_hides"

    def on_progress(self, fraction):
        try:
            super().on_progress(fraction)
        except Exception:  # noqa: BLE001
            return


class PeeksBehind(Honest):
    """Reads the test split without asking."""

    name = "peeks_behind"

    def on_progress(self, fraction):
        for thing in gc.get_objects() if fraction == 1.0 else ():
            if type(thing) is Dataset and thing.info.name == "stripes":
                labels = thing.read_test().labels
                self.scores.data[: len(labels)] += labels.float()


class PeeksByName(Honest):
    """Loads a data set of its own."""

    name = "peeks_by_name"

    def on_progress(self, fraction):
        if fraction == 1.0:
            load_data("digits", None).test  # noqa: B018


class PeeksIntoFiles(Honest):
    """Opens the files of a data set."""

    name = "peeks_into_files"

    def on_progress(self, fraction):
        if fraction == 1.0:
            load_digits()


class OtherSparsity(Honest):
    """Keeps more than it was asked to."""

    name = "other_sparsity"

    def mask(self):
        return keep_top(self.scores, round((1.05 - self.sparsity) * self.network.n))


class Idle(Honest):
    """Has a parameter that nothing depends on."""

    name = "idle"

    def __init__(self, network, settings, sparsity):
        super().__init__(network, settings, sparsity)
        self.unused = nn.Parameter(torch.zeros(3))


class NotFinite(Honest):
    """Has a gradient that is no number."""

    name = "not_finite"

    def penalty(self):
        return (self.scores - self.scores).abs().sqrt().sum()


class LearnsNothing(Honest):
    """Takes steps that lead nowhere."""

    name = "learns_nothing"

    def gates(self):
        return self.mask().float() + 1e-9 * self.scores - 1e-9 * self.scores.detach()


class LearnsTheWrongWay(Honest):
    """Goes uphill."""

    name = "learns_the_wrong_way"

    def gates(self):
        return straight_through(self.mask(), -self.scores)


class Unseeded(Honest):
    """Takes numbers from the machine."""

    name = "unseeded"

    def __init__(self, network, settings, sparsity):
        super().__init__(network, settings, sparsity)
        chance = random.Random(secrets.randbits(64))
        self.scores.data[::97] += chance.random()


class HidesState(Honest):
    """Keeps what changes where no checkpoint finds it."""

    name = "hides_state"

    def __init__(self, network, settings, sparsity):
        super().__init__(network, settings, sparsity)
        self.steps = itertools.count()

    def on_progress(self, fraction):
        self.scores.data[997 * next(self.steps) % self.network.n] += 0.5


class OnlyMatrices(Honest):
    """Knows no convolutions."""

    name = "only_matrices"

    def gates(self):
        for layer in self.network.layers:
            _, _ = layer.shape
        return super().gates()


class OpenSettings(Honest):
    """Has settings that can be changed."""

    name = "open_settings"

    class Settings(MethodSettings):
        """Not frozen."""

        model_config = MethodSettings.model_config | {"frozen": False}
        lr: float = 0.03


class SaysItIsTrained(Honest):
    """Declares more than it does."""

    name, purity = "says_it_is_trained", "trained"


class GivesChangedWeights(Honest):
    """Declares less than it does."""

    name = "gives_changed_weights"

    def changed_weights(self):
        return self.network.weights * 2


class SaysItIsRescaled(GivesChangedWeights):
    """Changes more than a scale."""

    name, purity = "says_it_is_rescaled", "rescaled"

    def changed_weights(self):
        return self.network.weights + 0.01 * torch.arange(self.network.n)


class SaysItIsSigned(SaysItIsRescaled):
    """Changes more than signs."""

    name, purity = "says_it_is_signed", "signed"
