"""The page: one HTML file that holds everything and asks nothing of the network."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2

import slt_bench
from slt_bench.report.plates import Plate, SectionData


def render(
    title: str,
    about: str,
    summary: str,
    plates: Sequence[Plate],
    sections: Sequence[SectionData],
    lists: Mapping[str, Mapping[str, str]],
) -> str:
    """The page as text; whatever comes from records is escaped.

    Args:
        title: At its top.
        about: Below the title.
        summary: Below that: how much there is.
        plates: That stand above the networks.
        sections: One a network.
        lists: What else there is to know: under a heading each, words by place. Empty ones are left out.
    """
    loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template("page.html").render(
        title=title,
        about=about,
        summary=summary,
        plates=plates,
        sections=sections,
        lists=lists,
        version=slt_bench.__version__,
    )
