"""What every method in the registry promises, the user's own included."""

import copy

import pytest
import torch
from torch.nn import functional

from slt_bench.frozen import FrozenNetwork
from slt_bench.method import Method
from slt_bench.plugins import load

REGISTRY = load()
METHODS = pytest.mark.parametrize("name", sorted(REGISTRY.methods))
ARCHS = {"lenet300": (1, 8, 8), "wrn10_1": (3, 8, 8)}
BOTH = pytest.mark.parametrize("arch", ARCHS)
SPARSITIES = (0.0, 0.3, 0.5, 0.9, 0.98)


def frozen(arch="lenet300", seed=0):
    return FrozenNetwork(arch, shape=ARCHS[arch], classes=10, seed=seed)


def make(name, network, sparsity=0.5):
    kind = REGISTRY.find(name)
    settings = kind.settings_class()
    return kind(network, settings, None if kind.control(settings) == "none" else sparsity)


def train(method, network, first=0, last=4, total=4, optimizer=None):
    """Some steps of the search's loop; the optimiser that took them."""
    optimizer = optimizer or method.optimizer()
    method.train()
    network.train()
    for step in range(first, last):
        method.on_progress(step / total)
        images = torch.randn(16, *network.shape, generator=torch.Generator().manual_seed(step))
        labels = torch.arange(16) % 10
        if optimizer is None:
            continue
        loss = functional.cross_entropy(network(images, method.effective()), labels) + method.penalty()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    if last == total:
        method.on_progress(1.0)
    return optimizer


def test_the_suites_own_methods_are_there_and_none_is_broken():
    assert {"gates", "gates_structured", "edgepopup", "random_mask", "dense"} <= set(REGISTRY.methods)
    assert not REGISTRY.broken


@METHODS
class TestDescription:
    def test_fields(self, name):
        kind = REGISTRY.find(name)
        assert issubclass(kind, Method)
        assert kind.name == name
        assert isinstance(kind.version, int)
        assert kind.paper
        assert kind.sparsity_control in ("exact", "approximate", "none")
        assert kind.purity in ("frozen", "rescaled", "resampled", "signed", "trained")

    def test_settings_are_frozen_and_refuse_what_they_do_not_know(self, name):
        kind = REGISTRY.find(name).settings_class
        with pytest.raises(ValueError, match="extra"):
            kind(no_such_setting=1)
        for field in kind.model_fields:
            with pytest.raises(ValueError, match="frozen"):
                setattr(kind(), field, None)
        assert kind.model_validate_json(kind().model_dump_json()) == kind()


@METHODS
@BOTH
class TestGates:
    def test_shape_and_range(self, name, arch):
        network = frozen(arch)
        method = make(name, network)
        for fraction in (0.0, 0.4, 1.0):
            method.on_progress(fraction)
            for mode in (True, False):
                gates = method.train(mode).gates().detach()
                assert gates.shape == (network.n,)
                assert gates.dtype == torch.float32
                assert float(gates.min()) >= 0
                assert float(gates.max()) <= 1

    def test_the_relaxed_network_does_not_change_from_call_to_call(self, name, arch):
        network = frozen(arch)
        method = make(name, network)
        train(method, network)
        method.eval()
        state = method.generator.get_state()
        assert torch.equal(method.gates(), method.gates())
        assert torch.equal(method.effective(), method.effective())
        assert torch.equal(method.generator.get_state(), state), "evaluation drew random numbers"

    def test_effective_is_weights_times_gates(self, name, arch):
        network = frozen(arch)
        method = make(name, network).eval()
        method.on_progress(1.0)
        assert torch.equal(method.effective(), network.effective(method.gates(), method.changed_weights()))

    def test_penalty_is_a_finite_scalar(self, name, arch):
        penalty = make(name, frozen(arch)).penalty()
        assert penalty.shape == ()
        assert torch.isfinite(penalty)


@METHODS
@BOTH
class TestMask:
    def test_is_hard(self, name, arch):
        network = frozen(arch)
        method = make(name, network)
        train(method, network)
        mask = method.mask()
        assert mask.dtype == torch.bool
        assert mask.shape == (network.n,)
        assert not mask.requires_grad
        assert torch.equal(method.mask(), mask)

    def test_same_seed_same_mask(self, name, arch):
        masks = []
        for noise in (1, 2):  # whatever the global generator does
            torch.manual_seed(noise)
            network = frozen(arch)
            method = make(name, network)
            train(method, network)
            masks.append(method.mask())
        assert torch.equal(*masks)

    def test_another_seed_another_mask(self, name, arch):
        masks = []
        for seed in (0, 1):
            network = frozen(arch, seed)
            method = make(name, network)
            train(method, network)
            masks.append(method.mask())
        if name == "dense":
            assert all(mask.all() for mask in masks)
        else:
            assert not torch.equal(*masks)

    @pytest.mark.parametrize("sparsity", SPARSITIES)
    def test_sparsity_is_as_promised(self, name, arch, sparsity):
        network = frozen(arch)
        method = make(name, network, sparsity)
        control = method.control(method.settings)
        train(method, network)
        removed = network.n - int(method.mask().sum())
        if control == "none":
            assert method.sparsity is None
        elif control == "exact":
            # A method may round layer by layer.
            assert abs(removed - sparsity * network.n) <= len(network.layers)
        else:
            largest_unit = max(layer.fan_in for layer in network.layers)
            most = network.n - network.layers[-1].size
            assert abs(removed - sparsity * network.n) <= largest_unit / 2 + 0.01 or removed == most


@METHODS
@BOTH
class TestLearning:
    def test_gradients_reach_the_parameters(self, name, arch):
        network = frozen(arch)
        method = make(name, network)
        parameters = list(method.parameters())
        assert (method.optimizer() is None) == (not parameters)
        method.on_progress(0.3)
        images = torch.randn(16, *network.shape, generator=torch.Generator().manual_seed(0))
        loss = functional.cross_entropy(network(images, method.effective()), torch.arange(16) % 10)
        if parameters:
            (loss + method.penalty()).backward()
        for parameter in parameters:
            assert torch.isfinite(parameter.grad).all()
            assert parameter.grad.count_nonzero() > parameter.numel() / 10

    def test_a_step_changes_the_parameters_and_lowers_the_loss(self, name, arch):
        network = frozen(arch)
        method = make(name, network)
        optimizer = method.optimizer()
        if optimizer is None:
            pytest.skip("nothing to train")
        images = torch.randn(16, *network.shape, generator=torch.Generator().manual_seed(0))
        before = [parameter.detach().clone() for parameter in method.parameters()]
        losses = []
        for _ in range(30):
            method.on_progress(0.0)
            loss = functional.cross_entropy(network(images, method.effective()), torch.arange(16) % 10)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert not any(torch.equal(*pair) for pair in zip(before, method.parameters(), strict=True))
        assert sum(losses[-5:]) < sum(losses[:5])

    def test_the_frozen_weights_are_untouched(self, name, arch):
        network = frozen(arch)
        before, copied = network.weight_hash(), network.weights.clone()
        method = make(name, network)
        train(method, network)
        method.mask()
        assert network.weight_hash() == before
        assert torch.equal(network.weights, copied)
        assert not network.weights.requires_grad
        changed = method.changed_weights()
        assert (changed is None) == (method.purity == "frozen")
        if changed is not None:
            assert changed.data_ptr() != network.weights.data_ptr()
            assert not changed.requires_grad

    def test_the_network_is_no_part_of_the_method(self, name, arch):
        network = frozen(arch)
        method = make(name, network)
        mine = {id(tensor) for tensor in (*network.parameters(), *network.buffers())}
        assert not mine & {id(tensor) for tensor in (*method.parameters(), *method.buffers())}

    def test_resumes_as_if_nothing_had_happened(self, name, arch):
        network = frozen(arch)
        method = make(name, network)
        optimizer = train(method, network, 0, 2)
        saved = copy.deepcopy(
            (method.state_dict(), method.generator.get_state(), optimizer.state_dict() if optimizer else None)
        )
        train(method, network, 2, 4, optimizer=optimizer)

        again = frozen(arch)
        other = make(name, again)
        train(other, again, 0, 1)  # anything else before it is restored
        state, generator, steps = saved
        other.load_state_dict(state)
        other.generator.set_state(generator)
        restored = other.optimizer()
        if restored:
            restored.load_state_dict(steps)
        train(other, again, 2, 4, optimizer=restored)

        assert torch.equal(method.mask(), other.mask())
        method.train(), other.train()
        assert torch.equal(method.gates(), other.gates()), "the next draws differ"
        assert torch.equal(method.eval().gates(), other.eval().gates())
        for one, two in zip(method.parameters(), other.parameters(), strict=True):
            assert torch.equal(one, two)
