"""The page: one HTML file that holds everything and asks nothing of the network."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2

import slt_bench
from slt_bench.report.plates import Plate, Section


def render(
    title: str,
    about: str,
    summary: str,
    plates: Sequence[Plate],
    sections: Sequence[Section],
    pending: Mapping[str, str],
    left_out: Mapping[str, str],
) -> str:
    """The page as text; whatever comes from records is escaped.

    Args:
        title: At its top.
        about: Below the title.
        summary: Below that: how much there is.
        plates: That stand above the networks.
        sections: One a network.
        pending: What jobs that have no record wait for, by the name of their folder.
        left_out: Why records are not in the report, by place.
    """
    loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template("page.html").render(
        title=title,
        about=about,
        summary=summary,
        plates=plates,
        sections=sections,
        pending=pending,
        left_out=left_out,
        version=slt_bench.__version__,
    )
