"""One image file as pixels: what is decoded, how it is turned, scaled and cut, and what is refused.

As torchvision's ImageFolder reads it, in three channels without alpha, with two differences: an image is turned upright
where its EXIF orientation says so, and grey values of 16 bits are scaled to 8 by the range of their type.
"""

import hashlib
import io
import struct
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from slt_bench.utils.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

NOT_DECODED = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}  # PIL knows them, and leaves the pixels to other programs
WITH_ALPHA = {"LA", "La", "PA", "RGBA", "RGBa"}
ORIENTATION = 0x0112  # the EXIF tag
BITS_PER_SAMPLE = 258  # the TIFF tag
ALPHA, TURNED, DEEP = "alpha", "turned", "deep"


@dataclass(frozen=True)
class Picture:
    """A decoded image.

    Attributes:
        pixels: (3, S, S) uint8.
        digest: SHA-256 of the file.
        traits: What was changed: ALPHA (dropped), TURNED (by EXIF), DEEP (16 bits scaled to 8).
        peak: The largest value of a DEEP image as a fraction of its type's range; 0 for others.
    """

    pixels: "np.ndarray"
    digest: bytes
    traits: frozenset[str] = frozenset()
    peak: float = 0.0


@cache
def endings() -> frozenset[str]:
    """Return the file name endings that PIL can decode on this machine, in lower case."""
    from PIL import Image  # noqa: PLC0415

    known = Image.registered_extensions()
    return frozenset(end for end, kind in known.items() if kind in Image.OPEN and kind not in NOT_DECODED)


def decode(file: Path, size: int) -> Picture:
    """Decode an image: its shorter side is resized to `size`, and the middle taken.

    Raises:
        UserError: It cannot be read or decoded, or the range of its values is unknown.
    """
    import numpy as np  # noqa: PLC0415
    from PIL import Image, ImageOps  # noqa: PLC0415

    traits: set[str] = set()
    try:
        content = file.read_bytes()
        with Image.open(io.BytesIO(content)) as opened:
            opened.draft("RGB", (2 * size, 2 * size))  # a JPEG is decoded no larger than needed
            opened.load()  # of a TIFF, PIL turns it upright itself; PNGs tell of it at their end
            turn = _turn(opened)
            image, peak = _eight_bits(opened, file)
            traits |= {DEEP} if image is not opened else set()
            traits |= {ALPHA} if image.mode in WITH_ALPHA or "transparency" in image.info else set()
            traits |= {TURNED} if turn is not None else set()
            image = image.convert("RGB")
            image = image if turn is None else image.transpose(turn)
            fitted = ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"The image {file} cannot be decoded: {error}. Remove or replace it.") from error
    pixels = np.asarray(fitted).transpose(2, 0, 1)
    return Picture(pixels, hashlib.sha256(content).digest(), frozenset(traits), peak)


def _eight_bits(image: "Image.Image", file: Path) -> "tuple[Image.Image, float]":
    """Return the image itself, or a grey one of 16 bits in 8, with its peak as a fraction of the range."""
    import numpy as np  # noqa: PLC0415
    from PIL import Image  # noqa: PLC0415

    # PIL has 16-bit grey as I;16, and that of PNG and PGM in some versions as I.
    if not (image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM"))):
        if image.mode in ("I", "F"):
            raise UserError(
                f"The image {file} holds {'32-bit integers' if image.mode == 'I' else 'floating-point numbers'}, whose "
                "black and white are not known. Convert the images to 8 or 16 bits."
            )
        return image, 0.0
    values = np.asarray(image).astype(np.int64)
    bits = getattr(image, "tag_v2", {}).get(BITS_PER_SAMPLE, (16,))[0]
    white = 2 ** int(bits) - 1
    scaled = (values * 255 + white // 2) // white
    return Image.fromarray(scaled.clip(0, 255).astype(np.uint8)), float(values.max()) / white


def _turn(image: "Image.Image") -> "Image.Transpose | None":
    """Return how to turn an image upright, as its EXIF orientation says; None where it is upright or says nothing."""
    from PIL import Image  # noqa: PLC0415

    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    # Damaged EXIF data say nothing; the pixels may be whole.
    with suppress(OSError, ValueError, SyntaxError, LookupError, TypeError, EOFError, struct.error):
        return turns.get(image.getexif().get(ORIENTATION, 1))
    return None
