"""Data sets by name: those of the catalogue, and class folders on this machine."""

from slt_bench.data.catalogue import DATASETS, DatasetInfo, canonical, is_folder
from slt_bench.data.folder import scan_folder


def find(name: str) -> DatasetInfo:
    """Return what the suite knows of the data set of that name, or of the class folders that `folder:PATH` names.

    Raises:
        UserError: There is none.
    """
    return scan_folder(name).info if is_folder(name) else DATASETS[canonical(name)]
