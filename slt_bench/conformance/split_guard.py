"""Whether anybody looks for the test split while a method learns: through the suite, or in the files of a data set."""

import contextlib
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from slt_bench.data.catalogue import CIFAR10_BINARY_MD5, DATASETS
from slt_bench.data.dataset import locked_test_split

DIGITS = "digits.csv"  # as scikit-learn has them


@dataclass(frozen=True)
class Peek:
    """A look for the test split.

    Attributes:
        what: What was done, in words.
        stack: From where.
    """

    what: str
    stack: traceback.StackSummary


@contextlib.contextmanager
def watched(why: str) -> Iterator[list[Peek]]:
    """Seal the test split, and note who looks for it.

    Args:
        why: What goes on meanwhile, as in "edgepopup learns".
    """
    peeks: list[Peek] = []
    _install()
    with locked_test_split(why) as seal:
        _open_to.append(peeks)
        try:
            yield peeks
        finally:
            _open_to.remove(peeks)
            peeks += [Peek("asks for the test split", stack) for stack in seal.refused]


_open_to: list[list[Peek]] = []


@cache
def _install() -> None:
    """An audit hook cannot be taken away again: there is one, which is idle unless somebody watches."""
    sys.addaudithook(_on_event)


def _on_event(event: str, arguments: tuple[object, ...]) -> None:
    if event != "open" or not _open_to or not isinstance(arguments[0], str | bytes):
        return
    path = arguments[0].decode(errors="replace") if isinstance(arguments[0], bytes) else arguments[0]
    if Path(path).name.removesuffix(".gz") in _data_files():
        _open_to[-1].append(Peek(f"opens {path}, a file of a data set", traceback.extract_stack()))


@cache
def _data_files() -> frozenset[str]:
    return frozenset((DIGITS, *CIFAR10_BINARY_MD5, *(name for info in DATASETS.values() for name in info.md5)))
