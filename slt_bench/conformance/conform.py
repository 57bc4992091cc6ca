"""The conformance suite: every check on a method, and what came of it."""

import re
import traceback
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import Literal

from slt_bench.conformance.checks import CHECKS, FOLLOWS, Check, CheckRun
from slt_bench.conformance.subject import CheckedMethod, Failed, Skipped

Cause = tuple[str, str]  # what went wrong, and where
NUMBERS = r"\d[\d.,]*"  # which depend on the network


@dataclass(frozen=True)
class Outcome:
    """What came of a check.

    Attributes:
        check: Its name.
        promise: What it is about, in a sentence.
        status: passed, failed or skipped.
        words: What was seen, what was wrong, or why there was nothing to look at.
        where: Where to look, as FILE:LINE (NAME); empty unless it failed.
        seconds: That it took.
    """

    check: str
    promise: str
    status: Literal["passed", "failed", "skipped"]
    words: str
    where: str
    seconds: float


def conform(subject: CheckedMethod, names: Collection[str] = tuple(CHECKS)) -> Iterator[Outcome]:
    """Make the checks on a subject, one after the other; yield what came of each. One cause fails one check.

    A check that fails for what an earlier one has failed for is skipped.

    Args:
        subject: The method, with the settings to try it with.
        names: Of the checks to make.
    """
    trial = CheckRun(subject)
    failed: dict[str, Cause] = {}
    for name, check in ((name, CHECKS[name]) for name in CHECKS if name in names):
        start = perf_counter()
        status, words, where, cause = _outcome(trial, check)
        if status == "failed":
            known = [earlier for earlier, its in failed.items() if its == cause or earlier in FOLLOWS.get(name, ())]
            failed[name] = cause
            if known:
                status, words, where = "skipped", f"what '{known[0]}' tells makes it fail, too", ""
        promise = (check.__doc__ or "").partition("\n")[0]
        yield Outcome(name, promise, status, words, where, perf_counter() - start)


def _outcome(trial: CheckRun, check: Check) -> tuple[Literal["passed", "failed", "skipped"], str, str, Cause]:
    """What came of a check: its status, the words, where to look, and what tells its cause from others."""
    subject = trial.subject
    try:
        return "passed", check(trial), "", ("", "")
    except Skipped as reason:
        return "skipped", str(reason), "", ("", "")
    except Failed as failure:
        place = subject.place_in(failure.stack) if failure.stack else subject.place(*failure.where)
        return "failed", str(failure), place, (re.sub(NUMBERS, "", str(failure)), place)
    except Exception as error:  # noqa: BLE001 - a plug-in may raise anything
        stack = traceback.extract_tb(error.__traceback__)
        place = subject.place_in(stack)
        return "failed", f"{type(error).__name__}: {error}", place, (type(error).__name__, place)
