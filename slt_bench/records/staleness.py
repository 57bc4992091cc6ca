"""Whether a record is of the code that is there now.

A record holds the fingerprint of the code that made it. Another fingerprint makes it stale, unless a maintainer has
shown that both codes give the same results, bit for bit, and `scripts/accept_code.py` has written both into
methods/accepted_code.toml, as after a change of names.
"""

import tomllib
from collections.abc import Callable, Mapping
from functools import cache

from slt_bench.jobs.benchmark import resolve_settings
from slt_bench.records import Record
from slt_bench.registry import Registry, suite_folder

ACCEPTED = "accepted_code.toml"


def is_stale(record: Record, registry: Callable[[], Registry], codes: Mapping[str, str]) -> bool:
    """Return whether the code of the record's method has changed since.

    Args:
        record: To judge. One without a fingerprint is judged by its version and by the defaults of its settings; one
            of a method that is not there is not stale.
        registry: Loads the methods, which takes seconds; called only where `codes` does not suffice.
        codes: Fingerprints of the methods that are there, by name.
    """
    method, made = record.job.method, record.provenance.get("method_code")
    if made is None:
        return _by_version(record, registry())
    now = codes.get(method) or registry().codes.get(method)
    return now not in (None, made) and not {made, now} <= accepted_codes(method, record.method_version)


def accepted_codes(method: str, version: int) -> frozenset[str]:
    """Return the fingerprints whose results are the same for that version of a method of the suite."""
    return frozenset(_table().get(method, {}).get(str(version), ()))


@cache
def _table() -> Mapping[str, Mapping[str, list[str]]]:
    return tomllib.loads((suite_folder("methods") / ACCEPTED).read_text(encoding="utf-8"))


def _by_version(record: Record, methods: Registry) -> bool:
    """Whether it is of another version, or of other defaults; settings that came since change nothing."""
    method = methods.methods.get(record.job.method)
    if method is None or method.version != record.method_version:
        return method is not None
    now = resolve_settings(record.job.method, record.job.settings, methods).model_dump(mode="json")
    return any(name not in now or now[name] != value for name, value in record.settings.items())
