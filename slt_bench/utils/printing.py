"""Standard output that takes any text, whatever its encoding."""

import codecs
import io
import sys

ERRORS = "slt_bench.plain"
PLAIN = {"±": "+-", "≥": ">=", "≤": "<=", "…": "...", "·": "-", "\u200b": ""}


def print_anything() -> None:
    """Have standard output write plain signs in place of those that its encoding lacks, instead of raising."""
    codecs.register_error(ERRORS, _plain)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors=ERRORS)


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(PLAIN.get(sign, "?") for sign in error.object[error.start : error.end]), error.end
