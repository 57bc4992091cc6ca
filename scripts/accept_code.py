"""Accept the present code of methods: declare that its results are, bit for bit, those of the records that git keeps.

    python scripts/accept_code.py [METHOD ...]

Run this after a change of code that changes no result, as a renaming, and only once that is shown: run some jobs of
each method with the code before and after, in one environment, and compare their masks (`mask_hash` in record.json).
Without it the records are stale. The fingerprints of all records of a method's present version, and the present one,
are added to methods/accepted_code.toml. Without names all methods of the suite are taken.
"""

import json
import sys
from pathlib import Path

from slt_bench.records.staleness import ACCEPTED, accepted_codes
from slt_bench.registry import load_registry, method_files, suite_folder
from slt_bench.utils.files import write_text

HEAD = """\
# By method and version, fingerprints of code that gives the same results, bit for bit. A record whose own is listed
# beside that of the present code is not stale. scripts/accept_code.py writes this file, and says when.
"""


def main(names: list[str]) -> None:
    """Rewrite the table, and print what was added to it."""
    registry, folder = load_registry(), suite_folder("methods")
    suite = {file.stem for file in method_files(folder)}
    if unknown := set(names) - suite:
        raise SystemExit(f"Not a method of the suite: {', '.join(sorted(unknown))}.")
    made = codes_of_records(folder.resolve().parent / "results")
    lines = [HEAD]
    for name in sorted(suite):
        version = registry.find(name).version
        accepted, present = accepted_codes(name, version), registry.codes[name]
        codes, records = set(accepted), made.get((name, version), set())
        if name in (names or suite) and (accepted | records) - {present}:
            codes |= records | {present}
        if codes - accepted:
            print(f"{name}, version {version}: {', '.join(sorted(codes - accepted))}")
        if codes:
            listed = "".join(f'    "{code}",\n' for code in sorted(codes))
            lines.append(f"[{name}]\n{version} = [\n{listed}]\n")
    write_text(folder / ACCEPTED, "\n".join(lines))


def codes_of_records(results: Path) -> dict[tuple[str, int], set[str]]:
    """Return the fingerprints of the records that git keeps, by method and version."""
    found: dict[tuple[str, int], set[str]] = {}
    for file in results.glob("*/records.jsonl"):
        for line in file.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            key = (record["job"]["method"], record["method_version"])
            found.setdefault(key, set()).add(record["provenance"]["method_code"])
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
