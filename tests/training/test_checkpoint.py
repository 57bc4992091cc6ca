"""Checkpoint files: what goes in comes out, and nothing else ever does."""

import errno
import math
import struct

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slt_bench.records.attempts import CHECKPOINT, kept_fraction
from slt_bench.training.checkpoint import Checkpoint, read_checkpoint, set_aside, write_checkpoint
from slt_bench.utils import tensor_file
from slt_bench.utils.errors import StorageError
from slt_bench.utils.files import TEMPORARY
from slt_bench.utils.tensor_file import DamagedError

IDENTITY = {"job": "0123456789", "version": 1, "code": "abc", "device": "cpu"}
FLOATING = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
WHOLE = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
RARE = (torch.complex64, torch.float8_e4m3fn, torch.uint16, torch.uint32, torch.uint64)
SAME_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@st.composite
def tensors(draw):
    """Tensors of every kind: without dimensions, empty, with any bits, not contiguous."""
    dtype = draw(st.sampled_from(FLOATING + WHOLE))
    shape = draw(st.lists(st.integers(0, 3), max_size=3))
    size = math.prod(shape)
    if dtype == torch.bool:
        values = torch.tensor(draw(st.lists(st.booleans(), min_size=size, max_size=size)), dtype=dtype)
    else:
        count = size * dtype.itemsize
        values = torch.tensor(list(draw(st.binary(min_size=count, max_size=count))), dtype=torch.uint8).view(dtype)
    values = values.reshape(shape)
    how = draw(st.sampled_from(["as it is", "transposed", "every other", "expanded", "parameter"]))
    if how == "transposed":
        return values.permute(tuple(reversed(range(len(shape)))))
    if how == "every other" and shape:
        return values.repeat_interleave(2, dim=-1)[..., ::2]
    if how == "expanded":
        return values.unsqueeze(0).expand(2, *shape)
    return torch.nn.Parameter(values) if how == "parameter" and dtype in FLOATING else values


plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
keys = st.text() | st.integers() | st.booleans() | st.none() | st.tuples(st.integers(), st.text())
trees = st.recursive(
    plain | tensors(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.lists(inner, max_size=4).map(tuple) | st.dictionaries(keys, inner, max_size=4)
    ),
    max_leaves=10,
)


def same(one, other):
    """Equal, of the same types, with their dicts in the same order, and every number bit for bit."""
    if isinstance(one, torch.Tensor):
        alike = isinstance(other, torch.Tensor) and (one.dtype, one.shape) == (other.dtype, other.shape)
        return alike and torch.equal(bits(one), bits(other))
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return same(list(one), list(other)) and same(list(one.values()), list(other.values()))
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(same(*pair) for pair in zip(one, other, strict=True))
    if isinstance(one, float):
        return struct.pack("d", one) == struct.pack("d", other)
    return one == other


def bits(tensor):
    flat = tensor.detach().flatten()
    return flat.clone(memory_format=torch.contiguous_format).view(torch.uint8)


def content():
    """A state with a bit of everything."""
    return {
        "scores": torch.randn(2, 3, generator=torch.Generator().manual_seed(0)),
        "mask": torch.tensor([True, False, True]),
        "steps": torch.tensor(7, dtype=torch.int64),
        "curve": [{"epoch": 1.0, "loss": 1e-30, "best": math.inf}],
        0: ("ä", None, True, -5),
    }


@pytest.fixture
def path(tmp_path):
    return tmp_path / CHECKPOINT


@pytest.fixture
def written(path):
    """A checkpoint's path and bytes."""
    write_checkpoint(path, IDENTITY, Checkpoint(0.25, content()))
    return path, path.read_bytes()


class TestRoundTrip:
    @SAME_FOLDER
    @given(state=trees, fraction=st.floats(0, 1))
    def test_any_tree_comes_back(self, path, state, fraction):
        write_checkpoint(path, IDENTITY, Checkpoint(fraction, state))
        found = read_checkpoint(path, IDENTITY)
        assert same(found.state, state)
        assert same(found.fraction, fraction)
        assert kept_fraction(path.parent) == fraction

    @pytest.mark.parametrize("dtype", FLOATING + WHOLE + RARE)
    @pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (2, 3)])
    def test_every_dtype_comes_back_in_every_shape(self, path, dtype, shape):
        tensor = (10 * torch.rand(shape, generator=torch.Generator().manual_seed(0))).to(dtype)
        write_checkpoint(path, IDENTITY, Checkpoint(0.5, tensor))
        assert same(read_checkpoint(path, IDENTITY).state, tensor)

    def test_numbers_that_are_none_and_infinite_ones_come_back(self, path):
        state = [math.nan, math.inf, -math.inf, -0.0, 5e-324, 1e308, torch.tensor([math.nan, -math.inf, -0.0])]
        write_checkpoint(path, IDENTITY, Checkpoint(0.5, state))
        found = read_checkpoint(path, IDENTITY).state
        assert math.isnan(found[0])
        assert same(found[1:], state[1:])

    @pytest.mark.parametrize(
        "state",
        [
            [2**63, -(2**64), 3**1000, 2**53 + 1],
            [["tensor", "000000"], ["dict", []], ("list", ["tuple", []]), {"tensor": "000000"}, "checksum", [], ()],
        ],
        ids=["whole numbers of any size", "the file's own signs"],
    )
    def test_rare_states_come_back(self, path, state):
        write_checkpoint(path, IDENTITY, Checkpoint(0.5, state))
        assert same(read_checkpoint(path, IDENTITY).state, state)

    def test_what_was_kept_does_not_change_with_what_it_was_taken_from(self, path):
        base = torch.arange(6.0)
        write_checkpoint(path, IDENTITY, Checkpoint(0.5, {"all": base, "part": base[2:4], "again": base}))
        base.zero_()
        found = read_checkpoint(path, IDENTITY).state
        assert same(found, {"all": torch.arange(6.0), "part": torch.tensor([2.0, 3.0]), "again": torch.arange(6.0)})
        found["all"].zero_()  # nor are the tensors that come back one and the same
        assert found["again"].any()

    def test_there_is_none_where_there_is_no_file(self, path):
        assert read_checkpoint(path, IDENTITY) is None
        assert kept_fraction(path.parent) is None

    def test_the_later_one_counts(self, path):
        for fraction in (0.1, 0.2):
            write_checkpoint(path, IDENTITY, Checkpoint(fraction, [fraction]))
        assert read_checkpoint(path, IDENTITY) == Checkpoint(0.2, [0.2])
        assert [file.name for file in path.parent.iterdir()] == [CHECKPOINT]


class TestDamage:
    def test_every_other_length_is_refused(self, written):
        path, whole = written
        for length in range(len(whole)):
            path.write_bytes(whole[:length])
            with pytest.raises(DamagedError, match=CHECKPOINT):
                read_checkpoint(path, IDENTITY)
        path.write_bytes(whole + b"\0")
        with pytest.raises(DamagedError, match=CHECKPOINT):
            read_checkpoint(path, IDENTITY)

    @pytest.mark.parametrize("bit", [0, 5])  # the fifth makes small letters of capital ones
    def test_a_flipped_bit_of_any_byte_is_refused_or_changes_nothing(self, written, bit):
        path, whole = written
        harmless = 0
        for place in range(len(whole)):
            altered = bytearray(whole)
            altered[place] ^= 1 << bit
            path.write_bytes(altered)
            try:
                found = read_checkpoint(path, IDENTITY)
            except DamagedError:
                continue
            harmless += 1
            assert same((found.fraction, found.state), (0.25, content()))
        assert harmless < 10  # such as the e of 1e-30

    @SAME_FOLDER
    @given(state=trees, data=st.data())
    def test_no_damage_ever_gives_another_state(self, path, state, data):
        write_checkpoint(path, IDENTITY, Checkpoint(0.5, state))
        whole = path.read_bytes()
        altered = bytearray(whole)
        for place in data.draw(st.lists(st.integers(0, 8 * len(whole) - 1), min_size=1, max_size=3), "bits"):
            altered[place // 8] ^= 1 << place % 8
        cut = data.draw(st.just(len(whole)) | st.integers(0, len(whole)), "length")
        path.write_bytes(altered[:cut])
        try:
            found = read_checkpoint(path, IDENTITY)
        except DamagedError:
            return
        assert same(found.state, state)
        assert found.fraction == 0.5

    @given(noise=st.binary(max_size=300))
    @SAME_FOLDER
    def test_no_noise_is_a_checkpoint(self, path, noise):
        path.write_bytes(noise)
        with pytest.raises(DamagedError):
            read_checkpoint(path, IDENTITY)
        assert kept_fraction(path.parent) is None

    @pytest.mark.parametrize("kind", ["tickets", "formats", "folders"])
    def test_what_is_no_checkpoint_is_refused(self, path, kind):
        if kind == "folders":
            path.mkdir()
        else:
            form = "slt_bench checkpoint 2" if kind == "formats" else "slt_bench ticket 1"
            header = {"format": form, "identity": IDENTITY, "fraction": 0.5, "tree": None}
            tensor_file.write_sealed(path, "checkpoint" if kind == "formats" else "ticket", header, {})
        with pytest.raises(DamagedError, match=CHECKPOINT):
            read_checkpoint(path, IDENTITY)


class TestIdentity:
    @pytest.mark.parametrize(
        ("name", "value"), [("job", "9876543210"), ("version", 2), ("code", "def"), ("device", "cuda")]
    )
    def test_that_of_something_else_is_refused_with_both_values(self, written, name, value):
        path, whole = written
        with pytest.raises(DamagedError, match=f"another {name}: {IDENTITY[name]}, where it should be {value}"):
            read_checkpoint(path, IDENTITY | {name: value})
        assert path.read_bytes() == whole

    def test_one_that_says_less_is_refused(self, path):
        write_checkpoint(path, {"job": "0123456789"}, Checkpoint(0.5, None))
        with pytest.raises(DamagedError, match="another version: None, where it should be 1"):
            read_checkpoint(path, IDENTITY)


class TestWhatCannotBeKept:
    @pytest.mark.parametrize(
        ("value", "kind"),
        [({1, 2}, "set"), (object(), "object"), (b"bytes", "bytes"), (1j, "complex"), (len, "builtin_function")],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_it_is_named_with_its_place(self, written, value, kind):
        path, whole = written
        with pytest.raises(TypeError, match=rf"state\['method'\]\[2\]\[5\] is a {kind}"):
            write_checkpoint(path, IDENTITY, Checkpoint(0.5, {"method": (0, 1, {5: value})}))
        assert path.read_bytes() == whole

    @pytest.mark.parametrize(
        "value",
        [
            {frozenset(): 1},
            torch.eye(3).to_sparse(),
            torch.zeros(2, dtype=torch.complex128),
            torch.empty(2, device="meta"),
        ],
        ids=["key", "sparse", "complex128", "meta"],
    )
    def test_nor_can_it_be_a_key_or_a_tensor_that_has_no_place_in_such_a_file(self, path, value):
        with pytest.raises(TypeError, match=r"state\['method'\]"):
            write_checkpoint(path, IDENTITY, Checkpoint(0.5, {"method": value}))
        assert not path.exists()


class TestStorage:
    @pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
    def test_a_disk_that_refuses_midway_leaves_the_former_file_whole(self, written, monkeypatch, code):
        path, whole = written
        save = tensor_file.save_file

        def refuse(contents, place, metadata):
            save(contents, place, metadata)
            place.write_bytes(place.read_bytes()[: place.stat().st_size // 2])
            raise OSError(code, "the disk says no")

        monkeypatch.setattr(tensor_file, "save_file", refuse)
        with pytest.raises(StorageError, match=f"{CHECKPOINT} could not be written: the disk says no"):
            write_checkpoint(path, IDENTITY, Checkpoint(0.75, None))
        assert path.read_bytes() == whole
        assert [file.name for file in path.parent.iterdir()] == [CHECKPOINT]
        assert same(read_checkpoint(path, IDENTITY).state, content())

    def test_so_does_one_that_refuses_to_sync(self, written, monkeypatch):
        path, whole = written

        def refuse(descriptor):
            raise OSError(errno.EIO, "the disk is broken")

        monkeypatch.setattr("slt_bench.utils.files.os.fsync", refuse)
        with pytest.raises(StorageError, match="the disk is broken"):
            write_checkpoint(path, IDENTITY, Checkpoint(0.75, None))
        assert path.read_bytes() == whole

    def test_an_interruption_midway_leaves_the_former_file_whole_and_nothing_else(self, written, monkeypatch):
        path, whole = written

        def interrupt(contents, place, metadata):
            place.write_bytes(whole[:100])
            raise KeyboardInterrupt

        monkeypatch.setattr(tensor_file, "save_file", interrupt)
        with pytest.raises(KeyboardInterrupt):
            write_checkpoint(path, IDENTITY, Checkpoint(0.75, None))
        assert path.read_bytes() == whole
        assert not list(path.parent.glob(f"{TEMPORARY}*"))

    def test_a_folder_that_is_not_there_is_a_matter_of_storage(self, tmp_path):
        with pytest.raises(StorageError, match="could not be written"):
            write_checkpoint(tmp_path / "none" / CHECKPOINT, IDENTITY, Checkpoint(0.5, None))


class TestKeptFraction:
    def test_is_what_the_file_says(self, written):
        assert kept_fraction(written[0].parent) == 0.25

    @pytest.mark.parametrize("length", [0, 7, 8, 100, -1])
    def test_of_a_file_that_was_cut_off_is_unknown(self, written, length):
        path, whole = written
        path.write_bytes(whole[:length])
        assert kept_fraction(path.parent) is None

    def test_of_another_file_is_unknown(self, path):
        tensor_file.write_sealed(path, "ticket", {"format": "slt_bench ticket 1"}, {})
        assert kept_fraction(path.parent) is None
        tensor_file.write_sealed(path, "checkpoint", {"fraction": None}, {})
        assert kept_fraction(path.parent) is None
        tensor_file.save_file({"a": torch.zeros(1)}, path)
        assert kept_fraction(path.parent) is None

    def test_where_there_is_no_folder_is_unknown(self, tmp_path):
        assert kept_fraction(tmp_path / "none") is None
        (tmp_path / CHECKPOINT).mkdir()
        assert kept_fraction(tmp_path) is None


class TestSetAside:
    def test_it_gets_another_name_and_is_no_checkpoint_any_more(self, written):
        path, whole = written
        aside = set_aside(path)
        assert aside == path.with_name(f"{CHECKPOINT}.unusable")
        assert aside.read_bytes() == whole
        assert read_checkpoint(path, IDENTITY) is None

    def test_the_latest_one_stays(self, path):
        for text in ("first", "second"):
            path.write_text(text)
            set_aside(path)
        assert path.with_name(f"{CHECKPOINT}.unusable").read_text() == "second"
        assert not path.exists()


def test_a_list_of_another_kind_comes_back_as_a_list(path):
    class Stack(list):
        """A list with a name of its own."""

    write_checkpoint(path, IDENTITY, Checkpoint(0.5, Stack([1, 2])))
    found = read_checkpoint(path, IDENTITY)
    assert type(found.state) is list
    assert found.state == [1, 2]
