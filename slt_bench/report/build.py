"""A report: figures, tables and one page, from the records of one benchmark."""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

import slt_bench
from slt_bench.analysis.curves import curves
from slt_bench.analysis.frame import comparable, frame
from slt_bench.errors import UserError
from slt_bench.files import write_text
from slt_bench.records import Found
from slt_bench.report import figures
from slt_bench.report.tables import Table, accuracy_table

NETWORK = ["arch", "dataset", "init", "rescale"]


@dataclass
class Report:
    """What was drawn.

    Attributes:
        page: The HTML file.
        tables: The accuracy table of each architecture and data set, by its title.
        left_out: Records that are not in it, with the reason.
    """

    page: Path
    tables: dict[str, Table] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def build(name: str, found: Found, out: Path, title: str = "", about: str = "", stale: Collection[str] = ()) -> Report:
    """Draw the report of a benchmark.

    Args:
        name: The benchmark's.
        found: Its records, and what could not be read.
        out: The folder to write to: `index.html`, `figures/`, `tables/`.
        title: At the top of the page.
        about: Below the title.
        stale: Ids of records that are stale: left out.

    Raises:
        UserError: There is no record that can be compared.
    """
    usable = comparable(found.records.values(), stale)
    if not usable.compared:
        reasons = sorted(set(usable.left_out.values())) or ["there are none"]
        raise UserError(f"No records of '{name}' can be drawn: {'; '.join(reasons[:3])}.")
    report = Report(out / "index.html", left_out=usable.left_out | found.problems)
    table = frame(usable.compared)
    several = table.groupby(NETWORK)["budget"].transform("nunique") > 1
    table["stem"] = table[NETWORK].agg("-".join, axis=1) + ("-" + table["budget"]).where(several, "")
    groups = list(table.groupby([*NETWORK, "budget"], sort=True))
    sections = [_section(report, key, rows, out) for key, rows in groups]
    write_text(report.page, _page(name, title, about, len(usable.compared), sections, report.left_out))
    return report


def _section(report: Report, key: Any, rows: pd.DataFrame, out: Path) -> dict[str, Any]:
    arch, dataset, init, rescale, budget = key
    title = f"{arch} on {dataset}"
    summary = curves(rows)
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "_", f"accuracy-{rows['stem'].iloc[0]}")
    _, svg, _ = figures.save(figures.accuracy_over_sparsity(rows, summary, title), out / "figures", stem)
    table = accuracy_table(summary)
    heading = f"{title} ({init} weights, rescale {rescale}; {budget})"
    report.tables[heading] = table
    (out / "tables").mkdir(parents=True, exist_ok=True)
    write_text(out / "tables" / f"{stem}.md", table.markdown())
    write_text(out / "tables" / f"{stem}.tex", table.latex())
    write_text(out / "tables" / f"{stem}.csv", summary.to_csv(index=False, float_format="%.6g"))
    return {
        "title": heading,
        "svg": _inline(svg.read_text(encoding="utf-8")),
        "alt": f"Test accuracy over sparsity of each method, {title}; the numbers are in the table below.",
        "caption": _caption(rows),
        "table": table.transposed(),
    }


def _caption(rows: pd.DataFrame) -> str:
    seeds, budget = rows["seed"].nunique(), rows["budget"].iloc[0]
    hardware = ", ".join(sorted(set(rows["hardware"])))
    return (
        f"Mean test accuracy of the hard masks over up to {seeds} seeds with 95% t intervals; a dot is a seed. "
        f"{len(rows)} records, {budget} each, run on {hardware}."
    )


def _page(
    name: str,
    title: str,
    about: str,
    compared: int,
    sections: list[dict[str, Any]],
    left_out: dict[str, str],
) -> str:
    loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    template = jinja2.Environment(loader=loader, autoescape=True).get_template("page.html")
    return template.render(
        title=title or f"Benchmark {name}",
        about=about,
        summary=f"{compared} records compared, {len(left_out)} left out. Sparsity is counted on the mask.",
        sections=sections,
        left_out=left_out,
        command=f"python -m slt_bench report {name}",
        version=slt_bench.__version__,
    )


def _inline(svg: str) -> str:
    """An SVG file as an element of a page."""
    return svg[svg.index("<svg") :]
