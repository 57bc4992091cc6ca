"""Several networks beside one another."""

import pandas as pd

from slt_bench.analysis.widths import narrower
from slt_bench.benchmark import REFERENCES

NETWORK = ["arch", "dataset", "init", "rescale"]
UNDER = [*NETWORK, "budget"]
RESCALED = {"density": "rescaled", "none": "not rescaled"}


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
