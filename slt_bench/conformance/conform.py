"""The conformance suite: every check on a method, and what came of it."""

import traceback
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import Literal

from slt_bench.conformance.checks import CHECKS, Check, CheckRun
from slt_bench.conformance.subject import CheckedMethod, Failed, Skipped


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
    """The checks on a subject, one after the other.

    Args:
        subject: The method, with the settings to try it with.
        names: Of the checks to make.
    """
    trial = CheckRun(subject)
    for name, check in ((name, CHECKS[name]) for name in CHECKS if name in names):
        start = perf_counter()
        status, words, where = _outcome(trial, check)
        promise = (check.__doc__ or "").partition("\n")[0]
        yield Outcome(name, promise, status, words, where, perf_counter() - start)


def _outcome(trial: CheckRun, check: Check) -> tuple[Literal["passed", "failed", "skipped"], str, str]:
    subject = trial.subject
    try:
        return "passed", check(trial), ""
    except Skipped as reason:
        return "skipped", str(reason), ""
    except Failed as failure:
        place = subject.place_in(failure.stack) if failure.stack else subject.place(*failure.where)
        return "failed", str(failure), place
    except Exception as error:  # noqa: BLE001 - a plug-in may raise anything
        stack = traceback.extract_tb(error.__traceback__)
        return "failed", f"{type(error).__name__}: {error}", subject.place_in(stack)
