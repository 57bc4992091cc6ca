"""The processes that draw sections: as many as there are cores, where there are many sections."""

import contextlib
import gc
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import forkserver, get_context
from typing import TYPE_CHECKING

from slt_bench.utils.cores import count_cores

if TYPE_CHECKING:  # nothing heavy loads here, so that the server can be started first of all
    from slt_bench.report.plates import ReportData, SectionData

FEW = 3  # sections for which it does not pay to start processes


def load_early() -> None:
    """Have what drawing needs loaded by a process from which those that draw are forked, while records are read."""
    if count_cores() > 1:
        forkserver.set_forkserver_preload(["slt_bench.report.section"])
        forkserver.ensure_running()


@contextlib.contextmanager
def drawing(materials: "Sequence[ReportData]") -> "Iterator[Iterator[SectionData]]":
    """The sections, in their order; where there are many, they are being drawn meanwhile."""
    cores = min(count_cores(), len(materials))
    if len(materials) <= FEW or cores == 1:
        yield map(_draw, materials)
        return
    with ProcessPoolExecutor(cores, get_context("forkserver"), initializer=_collect_seldom) as pool:
        yield pool.map(_draw, materials)


def _draw(material: "ReportData") -> "SectionData":
    from slt_bench.report.section import draw  # noqa: PLC0415 - matplotlib loads only in processes that draw

    return draw(material)


def _collect_seldom() -> None:
    """Drawing makes many objects and few cycles: looking for those would take a tenth of its time."""
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)
