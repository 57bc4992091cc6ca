"""What a report is made of, as plain data: the material of a network's section, and the plates on the page."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from slt_bench.jobs.benchmark import REFERENCES
from slt_bench.report.style import Looks
from slt_bench.report.tables.table import Table, as_csv
from slt_bench.utils.files import write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class ReportData:
    """What a section is made of.

    Attributes:
        title: Of the network, as in "lenet300 on mnist".
        heading: The title with what else tells the network and budget from others.
        stem: Part of its files' names.
        table: Its records, as from `analysis.frame`.
        epochs, layers, bins: As from `analysis.frame`'s learning, layers and histograms, with the columns of `table`.
        widths: The records of networks that differ from this one in their width alone, itself among them, with the
            column `width`, relative to this one, the widest; empty where there is no other.
        looks: Of the labels in the whole report.
        baseline: The label that ratios are taken to; empty where there is none.
        command: What draws the report.
        out: The report's folder.
        brief: Whether only accuracies are shown, since a wider version of the network has a section of its own.
    """

    title: str
    heading: str
    stem: str
    table: pd.DataFrame
    epochs: pd.DataFrame
    layers: pd.DataFrame
    bins: pd.DataFrame
    widths: pd.DataFrame
    looks: Looks
    baseline: str
    command: str
    out: Path
    brief: bool = False

    @property
    def arch(self) -> str:
        """The network's architecture."""
        return str(self.table["arch"].iloc[0])

    @property
    def split(self) -> str:
        """What its accuracies are measured on: the test or the validation split."""
        return str(self.table["split"].iloc[0])

    @property
    def learned(self) -> pd.DataFrame:
        """The records of methods that search for a mask, as far as they are "done"."""
        return self.table[~self.table["method"].isin(REFERENCES) & (self.table["status"] == "done")]


@dataclass(frozen=True)
class Plate:
    """A figure or a table on the page.

    Attributes:
        title: Above it.
        caption: Below it.
        source: What it was made of, and how; below the caption.
        svg, alt: Of a figure.
        inches: How wide it is.
        table: Of a table.
        files: Where it lies beside the page, by format.
    """

    title: str
    caption: str
    source: str = ""
    svg: str = ""
    alt: str = ""
    inches: float = 0.0
    table: Table | None = None
    files: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SectionData:
    """What the page shows of one network.

    Attributes:
        heading: Above it.
        plates: Its figures and tables.
        accuracy: The table of accuracies, which the terminal shows too.
        note: What a reader must know of it.
    """

    heading: str
    plates: list[Plate]
    accuracy: Table
    note: str = ""


def write_table(out: Path, stem: str, table: Table, numbers: pd.DataFrame) -> dict[str, str]:
    """A table as Markdown and LaTeX, and its numbers as CSV; where they lie in the report's folder, by format."""
    (out / "tables").mkdir(parents=True, exist_ok=True)
    texts = {
        "md": table.markdown(),
        "tex": table.latex(),
        "csv": as_csv(numbers),
    }
    for kind, text in texts.items():
        write_text(out / "tables" / f"{stem}.{kind}", text)
    return {kind: f"tables/{stem}.{kind}" for kind in texts}


def write_figure(
    figure: "Figure", out: Path, stem: str, title: str, caption: str, made_of: str, alt: str = ""
) -> Plate:
    """A figure in all its formats in the report's folder, and as a plate; `alt` stands for its title and caption."""
    from slt_bench.report.figures.axes import inline, save  # noqa: PLC0415 - matplotlib loads only where it draws

    paths = save(figure, out / "figures", stem)
    svg = next(path for path in paths if path.suffix == ".svg")
    return Plate(
        title,
        caption,
        made_of,
        svg=inline(svg.read_text(encoding="utf-8")),
        alt=alt or f"{title}. {caption}",
        inches=float(figure.get_figwidth()),
        files={path.suffix[1:]: f"figures/{path.name}" for path in paths},
    )


def source(table: pd.DataFrame, command: str) -> str:
    """What a figure or table was made of: the command, the number of records, versions, machines."""
    versions, machines = (_listed(table[column]) for column in ("versions", "machine"))
    return f"{command} · {len(table)} records · {versions} · {machines}"


def _listed(values: "pd.Series[str]", most: int = 3) -> str:
    found = sorted(set(values))
    return "; ".join(found[:most]) + (f"; and {len(found) - most} more" if len(found) > most else "")
