"""Data sets as tensors on the device, with their splits; nothing heavy loads before one is read.

    data = load("cifar10", root, device="cuda")
    data.train.images        # (45000, 3, 32, 32) uint8, on the device

`folder:PATH` stands for class folders of the user's own; their images stay on disk, and their content is known by a
fingerprint, `data_hash`, so that the same images are the same data under any path.
A tenth of the training images is held out for validation, chosen by the data set's name alone, never by a seed.
"""

from slt_bench.data.catalogue import DATASETS, DatasetInfo, folder_exists, is_folder
from slt_bench.data.lookup import find
from slt_bench.data.root import default_root

__all__ = ["DATASETS", "DatasetInfo", "default_root", "find", "folder_exists", "is_folder"]
