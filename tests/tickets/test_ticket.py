"""Tickets: what was written comes back, and nothing else ever does."""

import dataclasses
import hashlib
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file
from tickets import random_mask, ticket_of
from torch.nn import functional

from slt_bench.network.frozen import FrozenNetwork
from slt_bench.registry import load_registry
from slt_bench.tickets.ticket import Ticket, read_ticket, write_ticket
from slt_bench.utils.errors import UserError

SHAPE = (3, 8, 8)


def plain_ticket(mask, **changes):
    """A ticket that fits no network; enough for reading and writing."""
    fields = {
        "arch": "lenet300", "shape": (1, 8, 8), "classes": 10, "init": "signed_constant", "rescale": "density",
        "seed": 3, "weight_hash": "0" * 64, "purity": "frozen", "sizes": (len(mask),), "mask": mask,
        "provenance": {"job": {"a": [1, 2.5]}},
    }  # fmt: skip
    return Ticket(**(fields | changes))


def same(one, other):
    """Whether two tickets are equal in everything."""
    for field in dataclasses.fields(Ticket):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if field.name == "statistics":
            if a.keys() != b.keys() or not all(torch.equal(a[name], b[name]) for name in a):
                return False
        elif isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
            if a.dtype != b.dtype or not torch.equal(a, b):
                return False
        elif a != b:
            return False
    return True


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A ticket with statistics, and the bytes of its file."""
    mask = random_mask(203, 0.3)
    statistics = {"norm.running_mean": torch.randn(4), "norm.running_var": torch.rand(4)}
    ticket = plain_ticket(mask, sizes=(150, 3, 50), statistics=statistics)
    path = tmp_path_factory.mktemp("small") / "ticket.slt"
    write_ticket(path, ticket)
    return ticket, path.read_bytes()


def forge(path, small, header_changes=(), tensor_changes=(), text=None):
    """The small ticket with other fields or tensors and a right checksum: what a hostile writer would make.

    The checksum is worked out here from the format's own description: SHA-256 over the header without it, as JSON with
    sorted keys, then for each tensor its name, type, shape and bytes.
    """
    source = path.with_name("source.slt")
    source.write_bytes(small[1])
    with safe_open(source, framework="pt") as file:
        header = json.loads(file.metadata()["ticket"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    del header["checksum"]
    for changes, target in ((header_changes, header), (tensor_changes, tensors)):
        for name, value in dict(changes).items():
            target.pop(name, None)
            if value is not DROP:
                target[name] = value
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    header["checksum"] = digest.hexdigest()
    save_file(tensors, path, {"ticket": json.dumps(header) if text is None else text})
    return path


DROP = object()


class TestRoundTrip:
    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.booleans(), min_size=1, max_size=70))
    @example([True] * 8)
    @example([False] * 9)
    def test_any_mask(self, tmp_path_factory, bits):
        path = tmp_path_factory.getbasetemp() / "any.slt"
        ticket = plain_ticket(torch.tensor(bits))
        write_ticket(path, ticket)
        assert same(read_ticket(path), ticket)
        assert read_ticket(path).mask.tolist() == bits
        assert read_ticket(path).sparsity == pytest.approx(1 - sum(bits) / len(bits))
        assert read_ticket(path).mask_hash == hashlib.sha256(np.packbits(bits).tobytes()).hexdigest()

    def test_everything_comes_back(self, tmp_path, small):
        path = tmp_path / "ticket.slt"
        path.write_bytes(small[1])
        assert same(read_ticket(path), small[0])

    def test_what_a_hostile_writer_could_leave_as_it_is_is_read(self, tmp_path, small):
        assert same(read_ticket(forge(tmp_path / "t.slt", small)), small[0])  # so that `forge` itself is right

    def test_writing_is_repeatable_and_leaves_no_other_file(self, tmp_path, small):
        for _ in range(2):
            write_ticket(tmp_path / "ticket.slt", small[0])
            assert (tmp_path / "ticket.slt").read_bytes() == small[1]
        assert [path.name for path in tmp_path.iterdir()] == ["ticket.slt"]

    def test_the_metadata_tells_layers_and_the_hash_of_the_bits(self, tmp_path):
        ticket = plain_ticket(torch.tensor([True, False, False, False, False, False, True]), sizes=(3, 4))
        write_ticket(tmp_path / "t.slt", ticket)
        with safe_open(tmp_path / "t.slt", framework="pt") as file:
            header = json.loads(file.metadata()["ticket"])
        assert header["layers"] == [[3, 1], [4, 1]]
        assert header["mask_hash"] == hashlib.sha256(bytes([0b10000010])).hexdigest()


class TestSize:
    def test_a_frozen_ticket_holds_no_weight(self, tmp_path):
        network = FrozenNetwork("lenet300", shape=(1, 28, 28), classes=10)
        write_ticket(tmp_path / "t.slt", ticket_of(network, random_mask(network.n)))
        assert (tmp_path / "t.slt").stat().st_size < math.ceil(network.n / 8) + 1500  # a weight has 32 bits
        with safe_open(tmp_path / "t.slt", framework="pt") as file:
            assert list(file.keys()) == ["mask"]

    def test_a_dense_ticket_carries_its_weights_and_says_so(self, tmp_path):
        network = FrozenNetwork("lenet300", shape=(1, 8, 8), classes=10)
        kind = load_registry().find("dense")
        method = kind(network, kind.settings_class(), None)
        with torch.no_grad():
            method.weights.add_(torch.randn(network.n, generator=torch.Generator().manual_seed(0)))
        ticket = ticket_of(network, method.mask(), purity=method.purity, weights=method.changed_weights())
        write_ticket(tmp_path / "t.slt", ticket)
        found = read_ticket(tmp_path / "t.slt")
        assert found.purity == "trained"
        assert torch.equal(found.weights, method.weights.detach())
        assert (tmp_path / "t.slt").stat().st_size > 4 * network.n
        images = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(1))
        assert torch.equal(found.rebuild()(images), network(images, method.effective()))


class TestRebuild:
    @pytest.mark.parametrize("arch", ["resnet20", "wrn10_1", "vit_tiny", "lenet300"])
    @pytest.mark.parametrize("rescale", ["density", "none", "authors:0.9"])
    def test_logits_are_those_of_the_live_network_bit_for_bit(self, tmp_path, arch, rescale):
        network = FrozenNetwork(arch, shape=SHAPE, classes=10, init="kaiming_normal", seed=5, rescale=rescale)
        mask = random_mask(network.n, 0.4)
        effective = network.effective(mask.float())
        generator = torch.Generator().manual_seed(0)
        network.measure_statistics([torch.randn(16, *SHAPE, generator=generator) for _ in range(3)], effective)
        network.eval()
        images = torch.randn(8, *SHAPE, generator=generator)
        with torch.no_grad():
            expected = network(images, effective)
        write_ticket(tmp_path / "t.slt", ticket_of(network, mask))
        del network
        torch.manual_seed(123)
        rebuilt = read_ticket(tmp_path / "t.slt").rebuild()
        assert not rebuilt.training
        assert torch.equal(rebuilt(images), expected)
        assert expected.abs().max() > 1e-3
        assert not any(parameter.requires_grad for parameter in rebuilt.parameters())

    def test_statistics_belong_to_it(self):
        network = FrozenNetwork("wrn10_1", shape=SHAPE, classes=10)
        mask = random_mask(network.n)
        bare = ticket_of(network, mask)  # statistics as they were at the start
        network.measure_statistics([torch.randn(16, *SHAPE) * 3 + 1], network.effective(mask.float()))
        images = torch.randn(4, *SHAPE)
        assert not torch.allclose(bare.rebuild()(images), ticket_of(network, mask).rebuild()(images))

    def test_a_plain_module_can_be_used_like_any_other(self):
        network = FrozenNetwork("lenet300", shape=(1, 8, 8), classes=10)
        module = ticket_of(network, random_mask(network.n)).rebuild()
        images = torch.randn(4, 1, 8, 8, requires_grad=True)
        functional.cross_entropy(module(images), torch.arange(4)).backward()
        assert images.grad.any()

    def test_a_wrong_weight_hash_is_refused(self):
        network = FrozenNetwork("lenet300", shape=(1, 8, 8), classes=10)
        ticket = ticket_of(network, random_mask(network.n))
        ticket.rebuild()
        for changes in ({"weight_hash": "0" * 64}, {"seed": 1}, {"init": "kaiming_normal"}):
            with pytest.raises(UserError, match="not those that the ticket was found in"):
                dataclasses.replace(ticket, **changes).rebuild()

    @pytest.mark.parametrize(
        "changes",
        [
            {"arch": "lenet301"},
            {"arch": "conv2"},
            {"init": "normal"},
            {"rescale": "all"},
            {"classes": 9},
            {"shape": (1, 8, 9)},
            {"shape": (1, 2**40, 2**40)},
            {"classes": 2**62},
            {"statistics": {"norm.running_mean": torch.zeros(3)}},
            {"mask": torch.ones(7, dtype=torch.bool), "sizes": (7,)},
            {"sizes": (30000, 19200, 1000)},
        ],
        ids=str,
    )
    def test_what_fits_no_network_is_refused(self, changes):
        network = FrozenNetwork("lenet300", shape=(1, 8, 8), classes=10)
        ticket = dataclasses.replace(ticket_of(network, random_mask(network.n)), **changes)
        with pytest.raises(UserError):
            ticket.rebuild()


class TestDamage:
    def refused_or_unchanged(self, path, small):
        """A damaged file is an error. White space of its JSON may change what is no content."""
        try:
            ticket = read_ticket(path)
        except UserError:
            return True
        assert same(ticket, small[0]), "a damaged file was read as another ticket"
        return False

    def test_every_single_bit(self, tmp_path, small):
        path = tmp_path / "flipped.slt"
        for place in range(len(small[1])):
            content = bytearray(small[1])
            content[place] ^= 1 << (place % 8)
            path.write_bytes(content)
            assert self.refused_or_unchanged(path, small), place

    def test_truncated_anywhere(self, tmp_path, small):
        path = tmp_path / "short.slt"
        for length in range(len(small[1])):
            path.write_bytes(small[1][:length])
            with pytest.raises(UserError):
                read_ticket(path)

    @settings(max_examples=100, deadline=None)
    @given(st.booleans(), st.binary(min_size=1, max_size=200))
    def test_any_other_file_and_anything_appended(self, tmp_path_factory, small, appended, content):
        path = tmp_path_factory.getbasetemp() / "other.slt"
        path.write_bytes(small[1] * appended + content)
        with pytest.raises(UserError):
            read_ticket(path)

    def test_no_file_and_a_folder(self, tmp_path):
        with pytest.raises(UserError, match="There is no ticket at"):
            read_ticket(tmp_path / "none.slt")
        with pytest.raises(UserError):
            read_ticket(tmp_path)

    def test_a_pickle_is_not_opened(self, tmp_path):
        class Trap:
            def __reduce__(self):
                return (pytest.fail, ("it was unpickled",))

        torch.save(Trap(), tmp_path / "t.slt")
        with pytest.raises(UserError):
            read_ticket(tmp_path / "t.slt")

    def test_ten_thousand_mutations(self, tmp_path):
        """A real ticket's file, mutated: refused, or where the mutation hits nothing that matters, equal."""
        network = FrozenNetwork("wrn10_1", shape=SHAPE, classes=10)
        ticket = ticket_of(network, random_mask(network.n, 0.1), provenance={"job": {"method": "gates", "seed": 0}})
        write_ticket(tmp_path / "ticket.slt", ticket)
        content, chance = (tmp_path / "ticket.slt").read_bytes(), np.random.default_rng(5)
        equal = 0
        for number in range(10_000):
            (tmp_path / "ticket.slt").write_bytes(mutated(content, number, chance))
            try:
                found = read_ticket(tmp_path / "ticket.slt")
            except UserError:
                continue
            assert same(found, ticket)
            equal += 1
        assert equal < 100, "white space, and mutations that change nothing"

    def test_mutated_masks_with_a_right_checksum(self, tmp_path, small):
        """What a hostile writer can do to the code of a mask: it stays the mask of its hash, or is refused."""
        with_code = tmp_path / "code.slt"
        with_code.write_bytes(small[1])
        with safe_open(with_code, framework="pt") as file:
            code, layers = file.get_tensor("mask").numpy().tobytes(), json.loads(file.metadata()["ticket"])["layers"]
        chance = np.random.default_rng(6)
        for number in range(3000):
            other = mutated(code, number, chance)
            tensor = torch.from_numpy(np.frombuffer(bytearray(other), np.uint8).copy())
            shifted = [[n + int(chance.integers(-1, 2)), kept + int(chance.integers(-1, 2))] for n, kept in layers]
            path = forge(tmp_path / "t.slt", small, {"layers": shifted if number % 2 else layers}, {"mask": tensor})
            try:
                found = read_ticket(path)
            except UserError:
                continue
            assert torch.equal(found.mask, small[0].mask)


def mutated(content, number, chance):
    """The content after one of seven kinds of mutation, or after several."""
    content = bytearray(content)
    for _ in range(1 + number % 3):
        place, length = int(chance.integers(len(content) + 1)), int(chance.integers(1, 20))
        piece = bytes(chance.integers(0, 256, length, dtype=np.uint8))
        kind = chance.integers(7)
        if kind == 0 and place < len(content):
            content[place] ^= 1 << int(chance.integers(8))
        elif kind == 1:
            content[place : place + length] = piece
        elif kind == 2:
            content[place:place] = piece
        elif kind == 3:
            del content[place : place + length]
        elif kind == 4:
            del content[place:]
        elif kind == 5:
            content[place:place] = content[place : place + length]
        else:
            content[place : place + length] = bytes(length)
    return bytes(content)


class TestHostile:
    """Files with a right checksum whose content is none of a ticket."""

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            *[("layers", value) for value in (
                0, None, DROP, [], [203], [[203]], [[203, 60, 1]], [[203, 204]], [[0, 0], [203, 61]], [[203, -1]],
                [[203.0, 61]], [["203", 61]], [[True, True]], {"203": 61}, [[10**9, 0]], [[10**30, 0]],
                [[2**31, 2**31], [1, 1]], [[202, 61]], [[204, 61]], [[203, 60]], [[203, 203]], [[203, 0]],
                [[50, 20], [3, 1], [150, 40]],
            )],
            *[("mask_hash", value) for value in ("0" * 64, "", 3, None, DROP)],
            *[("shape", value) for value in
              (8, "188", [8, 8], [1, 8, 8, 8], [1, 8, 0], [1, 8, -8], [1, 8, 8.5], [1, 8, "8"], None, {}, DROP)],
            *[("classes", value) for value in (0, -1, 2.5, "10", None, DROP)],
            *[("seed", value) for value in (1.5, "0", None, [0], DROP)],
            *[(name, value) for name in ("arch", "init", "rescale", "weight_hash", "purity")
              for value in (3, None, ["a"], {}, DROP)],
            *[("provenance", value) for value in (3, "x", [1], None, DROP)],
            ("extra", 1),
            ("format", "slt_bench ticket 1"),
            ("format", None),
            ("format", DROP),
            *[("", text) for text in ("", "{", "[]", "3", "null", '"ticket"', "{}", "not json", "[" * 100_000,
                                      '{"a":' * 100_000, '{"n": NaN}')],
        ],
        ids=lambda value: str(value)[:20],
    )  # fmt: skip
    def test_metadata(self, tmp_path, small, field, value):
        path = forge(tmp_path / "t.slt", small, {field: value} if field else (), text=None if field else value)
        with pytest.raises(UserError, match=r"t\.slt"):
            read_ticket(path)

    def test_a_file_of_another_kind(self, tmp_path):
        save_file({"mask": torch.zeros(4, dtype=torch.uint8)}, tmp_path / "t.slt")
        with pytest.raises(UserError):
            read_ticket(tmp_path / "t.slt")
        save_file({"mask": torch.zeros(4, dtype=torch.uint8)}, tmp_path / "t.slt", {"other": "{}"})
        with pytest.raises(UserError):
            read_ticket(tmp_path / "t.slt")

    @pytest.mark.parametrize(
        "tensors",
        [
            {"mask": DROP},
            {"mask": torch.zeros(28)},
            {"mask": torch.zeros(28, dtype=torch.int8)},
            {"mask": torch.zeros(28, dtype=torch.bfloat16)},
            *[{"mask": torch.zeros(count, dtype=torch.uint8)} for count in (0, 1, 25, 28, 400)],
            *[{"mask": torch.full((count,), 255, dtype=torch.uint8)} for count in (25, 28, 400)],
            {"mask": torch.zeros(2, 14, dtype=torch.uint8)},
            {"mask": torch.zeros((), dtype=torch.uint8)},
            {"weights": torch.zeros(203)},
            {"other": torch.zeros(3)},
            {"statistics.norm.running_mean": torch.zeros(4, dtype=torch.int64)},
            {"statistics.norm.running_mean": torch.zeros(4, dtype=torch.complex64)},
        ],
        ids=lambda tensors: ", ".join(
            f"{name}-{getattr(value, 'dtype', 'dropped')}" for name, value in tensors.items()
        ),
    )
    def test_tensors(self, tmp_path, small, tensors):
        path = forge(tmp_path / "t.slt", small, tensor_changes=tensors)
        with pytest.raises(UserError, match=r"t\.slt"):
            read_ticket(path)

    @pytest.mark.parametrize(
        "weights", [torch.zeros(202), torch.zeros(203, dtype=torch.float64), torch.zeros(7, 29)], ids=str
    )
    def test_weights_of_another_form(self, tmp_path, small, weights):
        good = forge(tmp_path / "good.slt", small, {"purity": "trained"}, {"weights": torch.zeros(203)})
        assert read_ticket(good).weights.shape == (203,)
        bad = forge(tmp_path / "bad.slt", small, {"purity": "trained"}, {"weights": weights})
        with pytest.raises(UserError, match=r"bad\.slt"):
            read_ticket(bad)
