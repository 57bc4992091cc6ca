"""What a reader must know of a curve whose name is that of a paper's method, but which is not that method unchanged."""

import pandas as pd

EXACT = (
    "{labels}: not the published gates, but exact ones. A moving threshold stands in place of the penalty, the noise "
    "falls, the gates steepen, and the mask is cut by rank. The published gates are those with a penalty."
)


def notes(table: pd.DataFrame) -> str:
    """Return the sentences that stand below a figure of these records; empty where there is nothing to say.

    Args:
        table: As from `analysis.frame`.
    """
    exact = (table["method"] == "gates") & table["asked_sparsity"].notna()  # with a penalty they ask for none
    labels = sorted(table.loc[exact, "label"].unique())
    return " " + EXACT.format(labels=", ".join(labels)) if labels else ""
