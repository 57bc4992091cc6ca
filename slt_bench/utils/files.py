"""Files that are whole or not there: written to a temporary name, synced, renamed; and texts that prove to be whole."""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from safetensors import SafetensorError

from slt_bench.utils.errors import StorageError

TEMPORARY = ".partial-"  # begins the names of files that nobody should read
_MARK = ',"checksum":"'
_UMASK = os.umask(0o077)
os.umask(_UMASK)


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A temporary path to write to; afterwards its content stands at `path`, or, after an error, nowhere.

    Raises:
        StorageError: The file system refuses, as a full or a read-only one does.
    """
    temporary = path.with_name(f"{TEMPORARY}{uuid4().hex}-{path.name}")
    try:
        yield temporary
        temporary.chmod(0o666 & ~_UMASK)  # some writers let nobody else read what they write
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except (OSError, SafetensorError) as error:
        raise storage_error(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def storage_error(path: Path, error: Exception) -> StorageError:
    """What to tell of a path that could not be written."""
    reason = getattr(error, "strerror", None) or str(error)
    return StorageError(f"{path} could not be written: {reason}. What was there is kept; the same command goes on.")


def make_folder(path: Path) -> None:
    """Make a folder with its parents, where it is not there yet.

    Raises:
        StorageError: It cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(path, error) from error


def write_text(path: Path, text: str) -> None:
    """The text at `path`, whole."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def clear_partial(folder: Path) -> None:
    """Remove what a killed process had begun to write in a folder that is now ours."""
    for path in folder.glob(f"{TEMPORARY}*"):
        path.unlink(missing_ok=True)


def add_checksum(json_object: str) -> str:
    """A JSON object's text with a last member, `checksum`: the SHA-256 of the text before it."""
    body = json_object.rstrip().removesuffix("}").rstrip()
    return f'{body}{_MARK}{_sha256(body)}"}}'


def remove_checksum(text: str) -> str:
    """What `add_checksum` was given.

    Raises:
        ValueError: The text is not whole, or was altered.
    """
    body, mark, checksum = text.rpartition(_MARK)
    if not mark:
        raise ValueError("it is cut off, or has no checksum")
    if checksum.rstrip() != f'{_sha256(body)}"}}':
        raise ValueError("it is damaged: its checksum is wrong")
    return body + "}"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # some file systems cannot sync folders
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
