"""Readers of data files, against writers of the tests' own."""

import os
import pickle
import struct
import warnings

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from slt_bench.data import formats
from slt_bench.utils.errors import UserError

quick = settings(deadline=None, max_examples=60)
many = settings(deadline=None, max_examples=200)


def write_idx(array):
    return struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def pixels_of(seed, count):
    return np.random.default_rng(seed).integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)


SHAPES = st.lists(st.integers(0, 6), min_size=1, max_size=4).map(tuple)
SEEDS = st.integers(0, 2**32 - 1)
LABELS = st.lists(st.integers(0, 255), min_size=1, max_size=6)


@quick
@given(SHAPES, SEEDS)
def test_idx_round_trip(shape, seed):
    array = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    found = formats.idx(write_idx(array))
    assert found.dtype == np.uint8
    assert found.shape == shape
    np.testing.assert_array_equal(found, array)


@many
@given(st.binary() | st.binary(max_size=40).map(lambda rest: b"\x00\x00\x08" + rest))
@example(b"\x00\x00\x08\x04" + struct.pack(">4I", 65536, 65536, 65536, 65536))
@example(b"\x00\x00\x08\x41" + struct.pack(">65I", *[1] * 65) + b"x")
@example(b"\x00\x00\x08\x04" + struct.pack(">4I", 0, 2**32 - 1, 2**32 - 1, 2**32 - 1))
@example(b"\x00\x00\x08\x00")
@example(b"\x00\x00\x08\x00x")
def test_idx_gives_user_errors_only(content):
    try:
        found = formats.idx(content)
    except UserError:
        pass
    else:
        assert found.tobytes() == content[len(content) - found.size :]


@pytest.mark.parametrize("change", [lambda c: c[:-1], lambda c: c + b"\0", lambda c: c[:7], lambda c: b"\x1f\x8b" + c])
def test_idx_of_another_length_is_refused(change):
    content = write_idx(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
    assert formats.idx(content).shape == (2, 3, 4)
    with pytest.raises(UserError, match="IDX"):
        formats.idx(change(content))


def test_idx_of_other_numbers_is_refused():
    with pytest.raises(UserError, match="unsigned bytes"):
        formats.idx(struct.pack(">HBBI", 0, 0x0D, 1, 1) + struct.pack(">f", 1.0))


@quick
@given(LABELS, SEEDS)
def test_cifar_binary_round_trip(labels, seed):
    images = pixels_of(seed, len(labels))
    content = b"".join(bytes([label]) + image.tobytes() for label, image in zip(labels, images, strict=True))
    found, found_labels = formats.cifar_binary(content)
    np.testing.assert_array_equal(found, images)
    assert found_labels.tolist() == labels
    assert found_labels.dtype == np.int64


@pytest.mark.parametrize("length", [0, 1, 3072, 3074, 2 * 3073 - 1])
def test_cifar_binary_of_another_length_is_refused(length):
    with pytest.raises(UserError, match="3073"):
        formats.cifar_binary(bytes(length))


@many
@given(st.binary() | st.integers(0, 7000).map(bytes))
def test_cifar_binary_gives_user_errors_only(content):
    try:
        images, labels = formats.cifar_binary(content)
    except UserError:
        pass
    else:
        assert len(content) == 3073 * len(images) == 3073 * len(labels)


class Python2Pickle:
    """What cPickle of Python 2 writes at protocol 2, put together by hand."""

    def __init__(self):
        self.parts = [b"\x80\x02"]
        self.memo = 0

    def raw(self, *codes):
        self.parts += codes

    def put(self):
        code = b"q" + bytes([self.memo]) if self.memo < 256 else b"r" + struct.pack("<I", self.memo)
        self.parts.append(code)
        self.memo += 1

    def string(self, text):
        short = len(text) < 256
        self.raw(b"U" + bytes([len(text)]) + text if short else b"T" + struct.pack("<i", len(text)) + text)
        self.put()

    def number(self, value):
        if 0 <= value < 256:
            self.raw(b"K" + bytes([value]))
        elif 0 <= value < 65536:
            self.raw(b"M" + struct.pack("<H", value))
        else:
            self.raw(b"J" + struct.pack("<i", value))

    def numbers(self, values, at_once):
        self.raw(b"]")
        self.put()
        for start in range(0, len(values), at_once):
            self.raw(b"(")
            for value in values[start : start + at_once]:
                self.number(value)
            self.raw(b"e")

    def strings(self, values):
        self.raw(b"]")
        self.put()
        self.raw(b"(")
        for value in values:
            self.string(value)
        self.raw(b"e")

    def called(self, name, *put_before):
        self.raw(b"c" + name)
        self.put()
        self.raw(*put_before)

    def array(self, pixels):
        """A uint8 array (n, 3072), as numpy reduces it."""
        self.called(b"numpy.core.multiarray\n_reconstruct\n")
        self.called(b"numpy\nndarray\n", b"K\x00\x85")
        self.put()
        self.string(b"b")
        self.raw(b"\x87")
        self.put()
        self.raw(b"R")
        self.put()
        self.raw(b"(K\x01")
        self.number(len(pixels))
        self.number(3072)
        self.raw(b"\x86")
        self.put()
        self.called(b"numpy\ndtype\n")
        self.string(b"u1")
        self.raw(b"K\x00K\x01\x87")
        self.put()
        self.raw(b"R")
        self.put()
        self.raw(b"(K\x03")
        self.string(b"|")
        self.raw(b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89")
        self.string(pixels.tobytes())
        self.raw(b"t")
        self.put()
        self.raw(b"b")

    def batch(self, order, labels, pixels, label_key=b"labels", at_once=1000):
        write = {
            b"batch_label": lambda: self.string(b"training batch 1 of 5"),
            b"labels": lambda: self.numbers(labels, at_once),
            b"coarse_labels": lambda: self.numbers([19] * len(labels), at_once),
            b"data": lambda: self.array(pixels.reshape(len(pixels), 3072)),
            b"filenames": lambda: self.strings([b"leptodactylus_pentadactylus_s_000004.png"] * len(labels)),
        }
        self.raw(b"}")
        self.put()
        self.raw(b"(")
        for key in order:
            self.string(label_key if key == b"labels" else key)
            write[key]()
        self.raw(b"u.")
        return b"".join(self.parts)


KEYS = [b"batch_label", b"labels", b"coarse_labels", b"data", b"filenames"]
WIDE_LABELS = st.lists(
    st.integers(0, 9) | st.integers(0, 255) | st.integers(0, 65535) | st.integers(-(2**31), 2**31 - 1),
    min_size=1,
    max_size=5,
)


@quick
@given(st.permutations(KEYS), WIDE_LABELS, SEEDS, st.sampled_from([b"labels", b"fine_labels"]), st.integers(1, 4))
def test_cifar_python_reads_what_python_2_wrote(order, labels, seed, label_key, at_once):
    images = pixels_of(seed, len(labels))
    content = Python2Pickle().batch(order, labels, images, label_key, at_once)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy tells that its module has moved
        meant = pickle.loads(content, encoding="latin1")
    assert meant[label_key.decode()] == labels, "the writer of this test is wrong"
    np.testing.assert_array_equal(meant["data"], images.reshape(len(images), 3072))
    found, found_labels = formats.cifar_python(content, label_key.decode())
    np.testing.assert_array_equal(found, images)
    assert found_labels.tolist() == labels
    assert found_labels.dtype == np.int64


@quick
@given(LABELS, SEEDS, st.sampled_from([3, 4, 5]), st.booleans(), st.booleans())
def test_cifar_python_reads_what_python_3_wrote(labels, seed, protocol, labels_first, keys_are_text):
    images = pixels_of(seed, len(labels))
    parts = [(b"labels", labels), (b"data", images.tobytes())]
    batch = {b"batch_label": b"testing batch 1 of 1", **dict(parts if labels_first else parts[::-1])}
    if keys_are_text:
        batch = {key.decode(): value for key, value in batch.items()}
    found, found_labels = formats.cifar_python(pickle.dumps(batch, protocol), "labels")
    np.testing.assert_array_equal(found, images)
    assert found_labels.tolist() == labels


def a_batch():
    return Python2Pickle().batch(KEYS, [6, 9], pixels_of(0, 2))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b".",
        pickle.dumps({}),
        pickle.dumps({b"labels": [1], b"data": bytes(3071)}, 3),
        pickle.dumps({b"labels": [1, 2], b"data": bytes(3072)}, 3),
        pickle.dumps({b"label": [1], b"data": bytes(3072)}, 3),
        pickle.dumps({b"labels": [1]}, 3),
        pickle.dumps({b"labels": [2**100], b"data": bytes(3072)}, 3),
        pickle.dumps({b"labels": [2**63], b"data": bytes(3072)}, 3),
        a_batch()[:-4000],
    ],
)
def test_cifar_python_refuses_what_is_no_batch(content):
    with pytest.raises(UserError, match="Not a CIFAR batch"):
        formats.cifar_python(content, "labels")


def check_user_errors_only(content):
    try:
        images, labels = formats.cifar_python(content, "labels")
    except UserError:
        pass
    else:
        assert images.shape == (len(labels), 3, 32, 32)


@many
@given(st.binary() | st.binary().map(lambda rest: b"\x80\x02}q\x00(U\x06labelsq\x01" + rest))
@example(b"U")
@example(b"T\xff\xff\xff\xff")
@example(b"\x8e" + b"\xff" * 8)
@example(b"\x8a\xff")
@example(b"\x8b\xff\xff\xff\xff")
@example(b"I" + b"1" * 5000 + b"\n.")
@example(b"L1\n.")
@example(b"Fx\n.")
@example(b"V\\ud8\n.")
@example(b"S'\\x'\n.")
@example(b"c\xff\n\xff\n.")
@example(b"\x80\xff.")
def test_cifar_python_gives_user_errors_only(content):
    check_user_errors_only(content)


@many
@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=4), st.data())
def test_cifar_python_gives_user_errors_only_for_a_damaged_batch(changes, data):
    content = bytearray(a_batch())
    for place, value in changes:
        content[place] = value
    end = data.draw(st.integers(0, len(content)) | st.just(len(content)))
    check_user_errors_only(bytes(content[:end]))


class Evil:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return (os.system, (self.command,))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_malicious_pickle_executes_nothing(tmp_path, protocol):
    trace = tmp_path / "executed"
    batch = {b"labels": [1], b"data": bytes(3072), b"more": Evil(f"touch '{trace}'")}
    content = pickle.dumps(batch, protocol)
    pickle.loads(content)
    assert trace.exists(), "the payload of this test does not work"
    trace.unlink()
    check_user_errors_only(content)
    assert not trace.exists()


def test_a_malicious_pickle_by_hand_executes_nothing(tmp_path):
    trace = tmp_path / "executed"
    command = f"touch '{trace}'\n".encode()
    content = b"cos\nsystem\n(S" + repr(command.decode().strip()).encode() + b"\ntR."
    pickle.loads(content)
    assert trace.exists(), "the payload of this test does not work"
    trace.unlink()
    with pytest.raises(UserError, match="Not a CIFAR batch"):
        formats.cifar_python(content, "labels")
    assert not trace.exists()
