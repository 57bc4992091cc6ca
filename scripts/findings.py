"""Draw the pages of findings from committed records: python scripts/findings.py [--check].

Every number and verdict of reports/paper/FINDINGS.md and EVIDENCE.md, and of README's headline, is computed here; the
sentences around them are in the templates beside this file. With --check nothing is written, and the exit code is 1
where a page differs.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import jinja2
import pandas as pd

from slt_bench import records
from slt_bench.analysis.frame import comparable, frame
from slt_bench.analysis.matched import accuracies_at, comparable_sparsity
from slt_bench.analysis.statistics import Interval, paired_interval, t_interval
from slt_bench.analysis.verdicts import ClaimVerdict, judge
from slt_bench.jobs.benchmark import load
from slt_bench.jobs.grid import jobs
from slt_bench.registry import load_registry
from slt_bench.report.tables.claims import claims_table

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "reports" / "paper"
PAPER = "Tsayag"
NAMES = {
    "lenet300": "LeNet-300-100",
    "lenet300_leaky": "LeNet-300-100, leaky ReLUs",
    "conv2": "Conv-2",
    "wrn10_1": "Wide-ResNet-10-1",
    "vit_micro": "ViT, small",
    "swin_micro": "Swin, small",
    "mnist": "MNIST",
    "fashion_mnist": "Fashion-MNIST",
    "cifar10": "CIFAR-10",
    "signed_constant": "signed constants",
    "uniform": "U[-0.1, 0.1]",
    "uniform:0.1": "U[-0.1, 0.1]",
    "uniform:0.3": "U[-0.3, 0.3]",
}
NONE = "-"
ROWS = (  # benchmark, method; each is a row of the table, with the baseline of its claim
    ("paper_tuned", "gates_rescaled"),
    ("paper_tuned", "gates"),
    ("paper_tuned", "gates_uniform"),
    ("paper_tuned", "published_*"),
    ("paper_tuned", "gates_wide"),
    ("paper_tuned", "wide_published_*"),
    ("paper_tuned_fashion", "gates"),
    ("paper_cpu_conv2", "gates"),
    ("paper_cpu_conv2", "gates_uniform"),
    ("paper_cpu_conv2", "published_*"),
    ("paper_cpu_wrn", "gates"),
    ("paper_cpu_wrn", "gates_uniform"),
    ("paper_budget_wrn", "gates"),
    ("paper_cpu_vit", "gates"),
    ("paper_cpu_vit", "published_*"),
    ("paper_cpu_swin", "gates"),
)
APPENDIX = (
    *("paper_tuned", "paper_tuned_fashion", "paper_leaky", "paper_cpu", "paper_reasons", "paper_budget", "paper"),
    *("paper_cpu_conv2", "paper_cpu_wrn", "paper_budget_wrn", "paper_cpu_vit", "paper_cpu_swin"),
)


@cache
def table_of(name: str) -> pd.DataFrame:
    """The records of a benchmark that may be compared, under the labels that its file has now."""
    asked = jobs(load(name), load_registry())
    found = records.read(ROOT / "results" / name).under(asked).only([job.id for job in asked])
    return frame(comparable(found.records.values()).compared)


@cache
def verdicts_of(name: str) -> list[ClaimVerdict]:
    """The verdicts on a benchmark's claims."""
    return judge(load(name).claims, table_of(name))


def verdict(benchmark: str, method: str, kind: str) -> ClaimVerdict | None:
    """The verdict on the paper's claim of a method at 0.9; None where the benchmark asks no such question."""
    found = [
        one
        for one in verdicts_of(benchmark)
        if (one.claim.method, one.claim.kind, one.claim.sparsity) == (method, kind, 0.9)
        and one.claim.who.startswith(PAPER)
    ]
    assert len(found) < 2, (benchmark, method, kind)
    return found[0] if found else None


def points(interval: Interval | None) -> str:
    """An interval in points of accuracy."""
    return NONE if interval is None else f"{100 * interval.mean:.1f} ± {100 * interval.half_width:.1f}"


@dataclass(frozen=True)
class Row:
    """A row of the table: gates at 0.9 on one network, beside edge-popup and dense training."""

    network: str
    weights: str
    gates: str
    epochs: int
    dense: str
    edgepopup: str
    edgepopup_sparse: str
    accuracy: str
    against: ClaimVerdict
    loss: ClaimVerdict | None
    weights_in_all: int


def row(benchmark: str, method: str) -> Row:
    """The row of a method of a benchmark."""
    against = verdict(benchmark, method, "baseline_sparsity")
    assert against
    claim = against.claim
    rows = table_of(benchmark)
    rows = rows[(rows["arch"] == claim.arch) & (rows["dataset"] == claim.dataset)]
    labels = claim.labels(rows["label"].unique())
    own = rows[rows["label"].isin(labels)]
    first = own.iloc[0]
    dense = rows[(rows["method"] == "dense") & (rows["init"] == first["init"]) & (rows["status"] == "done")]
    base = rows[rows["label"] == claim.baseline]
    network = f"{NAMES[claim.arch]}, {NAMES[claim.dataset]}"
    rescaled = ", rescaled" if first["rescale"] == "density" else ""

    def at(curves: pd.DataFrame, sparsity: float | None) -> str:
        accuracies = accuracies_at(curves, sparsity or 0.0).dropna()
        there = curves[curves["asked_sparsity"] == sparsity]
        learned = int(there["learned"].sum())
        if 0 < learned < len(there):
            return f"median {100 * accuracies.median():.1f} ({learned} of {len(there)} seeds learned)"
        return points(t_interval(accuracies.tolist()))

    return Row(
        network,
        NAMES[first["init"]] + rescaled,
        "as published" if "published" in method else "exact",
        int(first["epochs"]),
        points(t_interval(dense["accuracy"].tolist())) if len(dense) else NONE,
        at(base, claim.baseline_sparsity),
        at(base, claim.sparsity),
        at(own, claim.sparsity),
        against,
        verdict(benchmark, method, "loss"),
        int(own["n"].max()),
    )


def best_tickets() -> Iterator[tuple[str, str, str, str, str]]:
    """Of each method: accuracies at 0.9 and 0.95, dense training minus that at 0.95, and how sparse within a point."""
    table = table_of("best_ticket")
    dense = table[table["method"] == "dense"].set_index("seed")["accuracy"]
    reached = comparable_sparsity(table, (1.0,))
    reached = reached[reached["reference"] == "dense"].set_index("label")
    for label in sorted(reached.index, key=lambda label: -reached.loc[label, "sparsity"]):
        own = table[table["label"] == label]
        last = reached.loc[label]
        sparsest = f"{last['sparsity']:.3f} ± {(last['high'] - last['low']) / 2:.3f}"
        accuracies = {sparsity: accuracies_at(own, sparsity).dropna() for sparsity in (0.9, 0.95)}
        cells = (points(t_interval(accuracies[sparsity].tolist())) for sparsity in (0.9, 0.95))
        yield (label, *cells, points(paired_interval(dense, accuracies[0.95])), sparsest)


def lead(benchmark: str) -> Interval:
    """How much more accurate gates are than edge-popup, both at 0.9, paired by seed."""
    table = table_of(benchmark)
    own, other = (accuracies_at(table[table["label"] == label], 0.9).dropna() for label in ("gates", "edgepopup"))
    return paired_interval(own, other)


def sizes(rows: list[Row]) -> str:
    """How many weights each network has, in words."""
    counts = {one.against.claim.arch: one.weights_in_all for one in rows}
    return ", ".join(f"{NAMES[arch]} {count:,}" for arch, count in counts.items())


def dense_of(benchmark: str) -> str:
    """The accuracy of a benchmark's dense training, in %."""
    rows = table_of(benchmark)
    return points(t_interval(rows.loc[rows["method"] == "dense", "accuracy"].tolist()))


def page(name: str) -> str:
    """The text of a page."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), keep_trailing_newline=True, trim_blocks=True,
        undefined=jinja2.StrictUndefined, autoescape=False,  # noqa: S701 - Markdown
    )  # fmt: skip
    benchmarks = [(load(name), claims_table(verdicts_of(name)).markdown()) for name in APPENDIX]
    rows = [row(*one) for one in ROWS]
    return environment.get_template(f"{name.lower()}.md.j2").render(
        rows=rows, row=row, verdict=verdict, points=points, best=list(best_tickets()), dense_of=dense_of,
        benchmarks=benchmarks, lead=lead, sizes=sizes(rows),
    )  # fmt: skip


def readme() -> tuple[Path, str]:
    """README with its headline between the two marks."""
    file = ROOT / "README.md"
    before, _, after = re.split("(?s)(?<=<!-- findings -->\n)(.*)(?=<!-- end -->)", file.read_text(encoding="utf-8"))
    return file, before + page("headline") + after


def main() -> int:
    """Write the pages, or check them."""
    different = 0
    for file, text in (*((PAGES / f"{name}.md", page(name)) for name in ("FINDINGS", "EVIDENCE")), readme()):
        if "--check" not in sys.argv:
            file.write_text(text, encoding="utf-8")
        elif file.read_text(encoding="utf-8") != text:
            print(f"{file.relative_to(ROOT)} is not what the records say: run python scripts/findings.py")
            different = 1
    return different


if __name__ == "__main__":
    sys.exit(main())
