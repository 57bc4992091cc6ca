"""What tests share that compare two ways to learn: the accuracy of a mask that a method learned on the digits."""

from slt_bench.jobs.benchmark import Budget
from slt_bench.network.frozen import FrozenNetwork
from slt_bench.registry import load_registry
from slt_bench.tickets.evaluate import accuracy, measure_statistics
from slt_bench.training.loop import search


def learned_accuracy(name, data, seed, epochs=20, **settings):
    """On the validation split, in [0, 1], of the hard mask of a method at sparsity 0.9 on LeNet-300-100."""
    kind = load_registry().find(name)
    network = FrozenNetwork("lenet300", shape=(1, 8, 8), classes=10, seed=seed)
    method = kind(network, kind.settings_class(**settings), 0.9)
    search(method, network, data, Budget(epochs=epochs, batch_size=64), seed, lambda _: None)
    effective = network.effective(method.mask().float())
    measure_statistics(network, effective, data.train, data.info)
    return accuracy(lambda images: network(images, effective), data.validation, data.info)
