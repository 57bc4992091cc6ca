"""Readers of data files, against writers of the tests' own."""

import contextlib
import os
import pickle
import struct
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slt_bench.data import formats

quick = settings(deadline=None, max_examples=60)


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


@quick
@given(LABELS, SEEDS)
def test_cifar_binary_round_trip(labels, seed):
    images = pixels_of(seed, len(labels))
    content = b"".join(bytes([label]) + image.tobytes() for label, image in zip(labels, images, strict=True))
    found, found_labels = formats.cifar_binary(content)
    np.testing.assert_array_equal(found, images)
    assert found_labels.tolist() == labels
    assert found_labels.dtype == np.int64


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


class Evil:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return (os.system, (self.command,))


def by_reduction(command, protocol):
    return pickle.dumps({b"labels": [1], b"data": bytes(3072), b"more": Evil(command)}, protocol)


def by_hand(command, _):
    return b"cos\nsystem\n(S" + repr(command).encode() + b"\ntR."


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("write", [by_reduction, by_hand])
def test_a_malicious_pickle_executes_nothing(tmp_path, write, protocol):
    trace = tmp_path / "executed"
    content = write(f"touch '{trace}'", protocol)
    pickle.loads(content)
    assert trace.exists(), "the payload of this test does not work"
    trace.unlink()
    with contextlib.suppress(ValueError):  # it need not be a batch
        formats.cifar_python(content, "labels")
    assert not trace.exists()
