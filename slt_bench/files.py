"""Files that are whole or not there: written to a temporary name, synced, renamed."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

TEMPORARY = ".partial-"  # begins the names of files that nobody should read


@contextlib.contextmanager
def published(path: Path) -> Iterator[Path]:
    """A temporary path to write to; afterwards its content stands at `path`, or, after an error, nowhere."""
    temporary = path.with_name(f"{TEMPORARY}{uuid4().hex}-{path.name}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """The text at `path`, whole."""
    with published(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def clear_partial(folder: Path) -> None:
    """Remove what a killed process had begun to write in a folder that is now ours."""
    for path in folder.glob(f"{TEMPORARY}*"):
        path.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # some file systems cannot sync folders
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
