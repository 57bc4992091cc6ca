"""Signs that the figures' font lacks, as those of Chinese, Japanese and Korean labels."""

import contextlib
import unicodedata
import warnings
from collections.abc import Iterator
from functools import cache

from matplotlib.artist import Artist
from matplotlib.font_manager import FontEntry, FontProperties, findfont, fontManager, get_font
from matplotlib.text import Text

WIDE = ("CJK", "Fallback", "Unicode", "Hei", "Gothic", "Song", "Ming", "Sans")  # in the names of fonts with many signs
NO_GLYPHS = "Last Resort"  # a font of boxes


@contextlib.contextmanager
def readable(artist: Artist) -> Iterator[None]:
    """Give texts a font of this machine that has their signs, where there is one; where there is none, they are boxes.

    Args:
        artist: A figure, or what it holds; while the block runs, nothing warns of a sign that no font has.
    """
    for text in artist.findobj(Text):
        assert isinstance(text, Text)
        missing = frozenset(filter(_is_seen, text.get_text())) - _signs(findfont(FontProperties(family=["sans-serif"])))
        if missing and (name := _font_with(missing)):
            text.set_fontfamily(["sans-serif", name])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"(?s)Glyph .* missing from")
        yield


def _is_seen(sign: str) -> bool:
    return unicodedata.category(sign)[0] not in "CZ"  # control characters and blanks


@cache
def _signs(path: str) -> frozenset[str]:
    return frozenset(map(chr, get_font(path).get_charmap()))


@cache
def _font_with(signs: frozenset[str]) -> str | None:
    """The name of a font that has all these signs; the likeliest ones are opened first."""
    regular = [font for font in fontManager.ttflist if font.style == "normal" and not font.name.startswith(NO_GLYPHS)]
    for font in sorted(regular, key=_unlikely):
        with contextlib.suppress(OSError, RuntimeError):  # a file that is gone, or no font
            if signs <= _signs(font.fname):
                return font.name
    return None


def _unlikely(font: FontEntry) -> tuple[bool, bool, str]:
    return (not any(part in font.name for part in WIDE), font.weight != 400, font.name)
