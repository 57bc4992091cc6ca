"""What people type to choose things: comma lists, globs, ranges of seeds, assignments."""

import fnmatch
import json
import re
from collections.abc import Callable, Iterable

from slt_bench.utils.errors import UserError, unknown
from slt_bench.utils.text import number


def split_list(text: str, is_one: Callable[[str], bool] = lambda _: False) -> list[str]:
    """The items of a comma list, in order, without blanks and repetitions.

    Args:
        text: As in `gates,edge*`.
        is_one: Tells whether a text with commas in it is one item; the longest such text is taken.
    """
    pieces = text.split(",")
    items: list[str] = []
    while pieces:
        ends = (end for end in range(len(pieces), 1, -1) if is_one(",".join(pieces[:end]).strip()))
        end = next(ends, 1)
        items.append(",".join(pieces[:end]).strip())
        pieces = pieces[end:]
    return list(dict.fromkeys(item for item in items if item))


def choose(
    kind: str,
    text: str,
    known: Iterable[str],
    accepts: Callable[[str], bool] = lambda _: False,
    is_one: Callable[[str], bool] = lambda _: False,
) -> list[str]:
    """The names that a comma list of names and globs stands for.

    Args:
        kind: What is chosen, as in "architecture"; used in errors.
        text: As in `gates,edge*`.
        known: The names that globs choose from.
        accepts: Tells whether a name outside `known` is right all the same, as `wrn40_2` and `timm:NAME` are.
        is_one: As of `split_list`: a folder's name may have commas.

    Returns:
        The chosen names, each once, in the order of the text; globs in the order of `known`.

    Raises:
        UserError: A name is unknown, a glob matches nothing, or the list is empty.
    """
    names = list(known)
    chosen: list[str] = []
    for item in split_list(text, is_one):
        if any(sign in item for sign in "*?[") and ":" not in item:
            matches = fnmatch.filter(names, item)
            if not matches:
                raise UserError(f"No {kind} matches '{item}'. Known: {', '.join(sorted(names))}.")
            chosen += matches
        elif item in names or accepts(item):
            chosen.append(item)
        else:
            raise unknown(kind, item, names)
    if not chosen:
        raise UserError(f"The list of {kind}s is empty: '{text}'.")
    return list(dict.fromkeys(chosen))


def parse_seeds(text: str) -> tuple[int, ...]:
    """Seeds from a comma list of numbers and ranges: `0-2,7` is 0, 1, 2, 7.

    Raises:
        UserError: An item is no whole number of 0 or more and no rising range, or there is none.
    """
    seeds: list[int] = []
    for item in split_list(text):
        found = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", item, flags=re.ASCII)
        if not found:
            raise UserError(
                f"'{item}' in seeds '{text}' is neither a number nor a range. Write them like 0-4 or 0,3,7."
            )
        first = int(found[1])
        last = int(found[2] or first)
        if last < first:
            raise UserError(f"The range '{item}' in seeds '{text}' falls. Write it as {last}-{first}.")
        if last - first >= 10_000:
            raise UserError(f"The range '{item}' in seeds '{text}' has more than 10,000 seeds.")
        seeds += range(first, last + 1)
    if not seeds:
        raise UserError("The list of seeds is empty. Write it like 0-4 or 0,3,7.")
    return tuple(dict.fromkeys(seeds))


def parse_sparsities(text: str) -> tuple[float, ...]:
    """Sparsities (the fraction of weights removed, in [0, 1)) from a comma list.

    Raises:
        UserError: An item is no number, or lies outside [0, 1).
    """
    values: list[float] = []
    for item in split_list(text):
        try:
            values.append(float(item))
        except ValueError:
            raise UserError(f"Sparsity '{item}' is no number. Write sparsities like 0.5,0.9.") from None
    if not values:
        raise UserError("The list of sparsities is empty. Write it like 0.5,0.9.")
    return tuple(dict.fromkeys(check_sparsity(value) for value in values))


def check_sparsity(value: float) -> float:
    """The value itself where it is a sparsity; minus zero as zero, which is the same job.

    Raises:
        UserError: It lies outside [0, 1).
    """
    if not 0 <= value < 1:
        raise UserError(
            f"Sparsity {number(value)} is outside [0, 1). It is the fraction of weights removed: 0.9 keeps a tenth."
        )
    return abs(value)


def parse_assignments(items: Iterable[str]) -> dict[str, dict[str, object]]:
    """Settings from assignments like `gates.sigma=0.3`: method, then field, then value (JSON where it is JSON).

    Raises:
        UserError: An item has another form.
    """
    settings: dict[str, dict[str, object]] = {}
    for item in items:
        found = re.fullmatch(r"\s*([^.=\s]+)\.([^.=\s]+)\s*=\s*(.*?)\s*", item)
        if not found:
            raise UserError(f"'{item}' is no setting. Write METHOD.FIELD=VALUE, as in gates.sigma=0.3.")
        try:
            value = json.loads(found[3])
        except (ValueError, RecursionError):
            value = found[3]
        settings.setdefault(found[1], {})[found[2]] = value
    return settings


def parse_options(items: Iterable[str]) -> dict[str, object]:
    """Options from comma lists of assignments like `partition=gpu,mem_gb=8`; a comma before no `name=` is the value's.

    Values are numbers and booleans where they look like ones, else texts.

    Raises:
        UserError: An item has another form.
    """
    options: dict[str, object] = {}
    for item in items:
        for part in re.split(r",(?=\s*\w+\s*=)", item):
            found = re.fullmatch(r"\s*(\w+)\s*=\s*(.*?)\s*", part, flags=re.DOTALL)
            if not found:
                raise UserError(f"'{part}' is no option. Write NAME=VALUE, as in partition=gpu,mem_gb=8.")
            options[found[1]] = _value(found[2])
    return options


def _value(text: str) -> object:
    if re.fullmatch(r"-?\d{1,15}(\.\d{1,15})?|true|false", text):
        return json.loads(text) if not re.match(r"-?0\d", text) else text
    return text
