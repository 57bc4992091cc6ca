"""What goes wrong and can be put right by the person at the keyboard."""

import difflib
from collections.abc import Iterable

MANY = 40  # names that nobody reads to the end


class UserError(Exception):
    """Something that the user can correct: one or two plain sentences, shown without a traceback."""

    exit_code = 2


class NotFiniteError(UserError):
    """Numbers that must be finite are infinite or NaN; a search in which that happens has diverged."""


class StorageError(UserError):
    """A disk does not take what must be kept; the work stops, and can go on once it does."""

    exit_code = 3


def unknown(kind: str, name: str, known: Iterable[str], hint: str = "") -> UserError:
    """The answer to a name that nobody knows: the nearest known ones, else all of them.

    Args:
        kind: What the name should have been, as in "method".
        name: The name that was given.
        known: The names that would have been right.
        hint: A sentence to add, as in where more names can come from.

    Returns:
        The error, to be raised.
    """
    choices = sorted(known)
    lower = {choice.lower(): choice for choice in choices}
    near = [lower[found] for found in difflib.get_close_matches(name.lower(), lower, n=3, cutoff=0.5)]
    few = ", ".join(choices if len(choices) <= MANY else (*choices[:3], f"... ({len(choices)} in all)"))
    offer = f"Did you mean {_either(near)}?" if near else f"Known: {few or 'none'}."
    return UserError(" ".join(part for part in (f"Unknown {kind} '{name}'.", offer, hint) if part))


def _either(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
