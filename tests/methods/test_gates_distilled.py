"""Gates beside a dense network that teaches them, against the loss written down in NumPy."""

import numpy as np
import oracle
import pytest
import torch
from scipy.special import log_softmax, softmax
from torch.nn import functional

from slt_bench.data.dataset import load as load_data
from slt_bench.jobs.benchmark import Budget
from slt_bench.network.frozen import FrozenNetwork
from slt_bench.training.loop import search


def cross_entropy(targets, logits):
    """The mean over rows, in double precision."""
    return float(-(targets * log_softmax(np.asarray(logits, dtype=np.float64), axis=1)).sum(axis=1).mean())


@pytest.mark.parametrize(("share", "temperature"), [(0.0, 2.0), (0.3, 1.0), (0.9, 4.0)])
def test_the_loss_is_hintons_and_the_teachers_own(share, temperature, tmp_path):
    method = oracle.make("gates_distilled", share=share, temperature=temperature)
    images, labels = oracle.batches(tmp_path, count=1)[0]
    with torch.no_grad():
        method.teacher.mul_(0.7)  # so that the two networks differ, where all gates are open too
        logits = method.network(images, method.effective())
        taught = method.network(images, method.teacher)
        found = float(method.objective(images, logits, labels))
    hard, soft = np.eye(10)[labels], softmax(taught.double().numpy() / temperature, axis=1)
    expected = (1 - share) * cross_entropy(hard, logits) + cross_entropy(hard, taught)
    expected += share * temperature**2 * cross_entropy(soft, logits / temperature)
    assert found == pytest.approx(expected, rel=1e-5)


def test_the_teacher_learns_from_the_labels_alone(tmp_path):
    method = oracle.make("gates_distilled", share=0.9)
    images, labels = oracle.batches(tmp_path, count=1)[0]
    logits = method.network(images, method.effective())
    method.objective(images, logits, labels).backward()
    expected = oracle.gradient_at(images, labels, method.teacher)
    assert torch.allclose(method.teacher.grad, expected, atol=1e-6 * float(expected.abs().max()))


def test_the_teacher_is_trained_at_its_own_rate_as_plain_sgd_would(tmp_path):
    method = oracle.make("gates_distilled", teacher_lr=0.2)
    twin = method.teacher.detach().clone().requires_grad_()
    optimizers = [method.optimizer(), torch.optim.SGD([twin], lr=0.2, momentum=0.9)]
    for images, labels in oracle.batches(tmp_path):
        for optimizer in optimizers:
            optimizer.zero_grad()
        method.objective(images, method.network(images, method.effective()), labels).backward()
        oracle.plain_loss(images, labels, twin).backward()
        for optimizer in optimizers:
            optimizer.step()
    scale = float((twin.detach() - method.network.weights).abs().max())
    assert scale > 0
    assert torch.allclose(method.teacher, twin, atol=1e-4 * scale)


def test_with_no_share_the_gates_are_those_of_gates_best(tmp_path):
    data = load_data("digits", tmp_path)
    masks = []
    for name, settings in (("gates_best", {}), ("gates_distilled", {"share": 0.0})):
        method = oracle.make(name, **settings)
        method.generator.manual_seed(0)  # which hangs on the name otherwise
        with torch.no_grad():
            method.mu.normal_(0.5, 0.01, generator=method.generator)
        search(method, method.network, data, Budget(epochs=1, batch_size=64), 0)
        masks.append(method.mask())
    assert float((masks[0] != masks[1]).float().mean()) < 1e-3


def test_the_teacher_moves_no_normalisation_statistics():
    network = FrozenNetwork("resnet20", shape=(3, 16, 16), classes=10).train()
    method = oracle.make("gates_distilled", on=network)
    images = torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(8)
    logits = network(images, method.effective())
    before = network.statistics()
    loss = method.objective(images, logits, labels)
    after = network.statistics()
    assert all(torch.equal(after[name], numbers) for name, numbers in before.items())
    loss.backward()
    own = FrozenNetwork("resnet20", shape=(3, 16, 16), classes=10).train()
    weights = method.teacher.detach().clone().requires_grad_()
    functional.cross_entropy(own(images, weights), labels).backward()
    assert torch.allclose(method.teacher.grad, weights.grad, atol=1e-5 * float(weights.grad.abs().max()))
