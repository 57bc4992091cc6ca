"""Several networks beside one another."""

import pandas as pd

from slt_bench.analysis.widths import narrower
from slt_bench.jobs.benchmark import REFERENCES

NETWORK = ["arch", "dataset", "init", "rescale"]
UNDER = [*NETWORK, "budget"]
RESCALED = {"density": "rescaled", "authors": "rescaled as by edge-popup's code", "none": "not rescaled"}


def networks(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The records of each network and budget, by a title that tells them apart, as in "lenet300 on mnist, 4 epochs".

    They come in the order of their first records. Of fully connected networks that differ in their width alone only the
    widest is taken. Networks on which nothing is learned are left out.

    Args:
        table: Records, as from `analysis.frame`.
    """
    learned = table.groupby(UNDER).filter(_has_learned)
    found = [rows for _, rows in learned.groupby(UNDER, sort=False) if not has_wider(rows, learned)]
    texts = [_parts(rows) for rows in found]
    shared = set.intersection(*map(set, texts)) if texts else set()
    return {
        _title(rows, [part for part in more if part not in shared]): rows
        for rows, more in zip(found, texts, strict=True)
    }


def baseline_of(rows: pd.DataFrame, baseline: str, table: pd.DataFrame) -> str:
    """The label that others are compared with on a network: the baseline itself, or what stands there in its place.

    Args:
        rows: The records of the network, as from `analysis.frame`.
        baseline: A label of the table.
        table: The records of all networks.

    Returns:
        Where the baseline has no record, the one label of the same method ("edgepopup_uniform" for "edgepopup"); empty
        where there is none, or several.
    """
    if (rows["label"] == baseline).any():
        return baseline
    methods = table.loc[table["label"] == baseline, "method"]
    others = rows.loc[rows["method"].isin(methods), "label"].unique()
    return str(others[0]) if len(others) == 1 else ""


def _parts(rows: pd.DataFrame) -> list[str]:
    """What tells a network and budget from others of its architecture and data set."""
    init, rescale, budget = rows[UNDER[2:]].iloc[0]
    return [init, RESCALED.get(rescale, rescale), *budget.split(", ")]


def _has_learned(rows: pd.DataFrame) -> bool:
    return bool((~rows["method"].isin(REFERENCES) & (rows["status"] == "done")).any())


def has_wider(rows: pd.DataFrame, table: pd.DataFrame) -> bool:
    """Whether a network, of which these are the records, is a narrower version of another that the table holds."""
    arch, *setting = rows[UNDER].iloc[0]
    same = table[(table[UNDER[1:]] == setting).all(axis=1)]
    others = same["arch"].unique()
    return any(arch in narrower(same, str(other))["arch"].to_numpy() for other in others if other != arch)


def _title(rows: pd.DataFrame, more: list[str]) -> str:
    first = rows.iloc[0]
    return ", ".join([f"{first['arch']} on {first['dataset']}", *more])
