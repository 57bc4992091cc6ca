"""What a mask leaves of a network's structure."""

import pandas as pd

DEAD = ["label", "asked_sparsity", "dead", "n"]


def dead_units(layers: pd.DataFrame) -> pd.DataFrame:
    """How many units (outputs of a layer) no kept weight leads to, for each method and sparsity.

    Args:
        layers: Rows as from `analysis.frame.layers` with the columns label and asked_sparsity; of "done" records.

    Returns:
        A row for each label and asked sparsity with the columns of `DEAD`: dead is the share of all units, in [0, 1],
        the mean over the n records in which they were counted.
    """
    counted = layers[layers["dead"].notna()]
    sums = counted.groupby(["label", "asked_sparsity", "id"], dropna=False, sort=True)[["dead", "units"]].sum()
    shares = (sums["dead"] / sums["units"]).rename("dead").reset_index()
    groups = shares.groupby(["label", "asked_sparsity"], dropna=False, sort=True)["dead"].agg(["mean", "size"])
    return groups.reset_index().rename(columns={"mean": "dead", "size": "n"})[DEAD]
