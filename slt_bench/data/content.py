"""What tells one content of class folders from another, whatever their path is.

The fingerprint (`data_hash`) is a SHA-256 over the rules of decoding, the path of every image within the folders (its
split, class and name) and the SHA-256 of every file, shortened to 32 hexadecimal digits. The files are read for it
once: the data root keeps the result in `folders/contents/`, under a hash of the path, size, modification time and
change time (of the directory entry) of every image, so that any later change is noticed and read anew.
"""

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from slt_bench.data.catalogue import HASH_DIGITS
from slt_bench.data.folder import ClassFolders, scan_folder
from slt_bench.data.root import default_root
from slt_bench.utils.cores import count_cores
from slt_bench.utils.errors import StorageError, UserError
from slt_bench.utils.files import make_folder, write_text

FOLDERS = "folders"  # in the data root
RULES = b"slt_bench class folders 2\n"  # another number where decoding changes: the same files are other pixels then
LARGE = 2**30  # bytes whose reading takes so long that it is announced
SETTLED_NS = 2_000_000_000  # a file changed twice within that time may keep its times on some file systems
CHUNK = 1024
Tell = Callable[[str], None]


def data_hash(name: str, root: Path | None = None, tell: Tell = lambda _: None, *, anew: bool = False) -> str:
    """Return the fingerprint of what lies in class folders now.

    Args:
        name: As in `scan_folder`, whose memory of the folders is renewed.
        root: The data root, which keeps fingerprints; None is the default one.
        tell: Told when many files have to be read.
        anew: Whether to read every file even where the fingerprint is known.

    Raises:
        UserError: There are no such folders, or a file cannot be read.
    """
    scan_folder.cache_clear()
    data = scan_folder(name)
    kept = (root or default_root()) / FOLDERS / "contents" / _stamp(data)
    with suppress(OSError, UnicodeDecodeError):
        found = kept.read_text(encoding="utf-8").strip()
        if not anew and re.fullmatch(f"[0-9a-f]{{{HASH_DIGITS}}}", found):
            return found
    settled = time.time_ns() - SETTLED_NS
    images = [image for listing in data.parts.values() for image in listing.images]
    if (size := sum(image.size for image in images)) > LARGE:
        tell(f"{data.path.name}: reading {len(images):,} images ({size / 1e9:.0f} GB) for their fingerprint, once")
    found = combine(data, {part: list(_digests(data, part)) for part in data.parts})
    if all(max(image.changed) < settled for image in images):
        with suppress(StorageError):  # a root that cannot be written to: the files are read again next time
            make_folder(kept.parent)
            write_text(kept, found + "\n")
    return found


def combine(data: ClassFolders, digests: Mapping[str, Iterable[bytes]]) -> str:
    """Return the fingerprint of class folders, from the digest of each file in the order of its listing."""
    whole = hashlib.sha256(RULES)
    for part, listing in sorted(data.parts.items()):
        for image, digest in zip(listing.images, digests[part], strict=True):
            whole.update(os.fsencode(f"{part}/{image.path}") + b"\0" + digest)
    return whole.hexdigest()[:HASH_DIGITS]


def _digests(data: ClassFolders, part: str) -> Iterator[bytes]:
    listing = data.parts[part]
    files = [listing.folder / image.path for image in listing.images]
    with ThreadPoolExecutor(count_cores()) as pool:
        for start in range(0, len(files), CHUNK):
            yield from pool.map(_digest, files[start : start + CHUNK])


def _digest(file: Path) -> bytes:
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").digest()
    except OSError as error:
        raise UserError(f"The image {file} cannot be read: {error.strerror}.") from error


def _stamp(data: ClassFolders) -> str:
    """Return a hash of everything that is known of the files without reading them."""
    whole = hashlib.sha256(RULES)
    for part, listing in sorted(data.parts.items()):
        whole.update(os.fsencode(f"{part} {listing.folder}\n"))
        for image in listing.images:
            whole.update(os.fsencode(f"{image.path}\0{image.size} {image.changed}\n"))
    return whole.hexdigest()[:HASH_DIGITS]
