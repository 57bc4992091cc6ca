"""Networks that differ in their width alone."""

import pandas as pd

from slt_bench.jobs.benchmark import REFERENCES
from slt_bench.network.architectures import hidden_widths, is_known, is_leaky

ROUNDED = 0.5  # of a unit


def narrower(table: pd.DataFrame, arch: str) -> pd.DataFrame:
    """The records of a fully connected network and of those that are narrower in every hidden layer by one factor.

    Args:
        table: Records of one data set, init and budget, as from `analysis.frame`.
        arch: A network; others are compared with it.

    Returns:
        The records with the column `width`, in (0, 1], relative to that network, of labels that were measured on
        several widths at one asked sparsity; none where no method that searches was, or a network is wider.
    """
    alike = (name for name in table["arch"].unique() if is_leaky(name) == is_leaky(arch))
    known = {name: hidden_widths(name) for name in alike if is_known(name)}
    factors = {name: _factor(widths, known.get(arch, ())) for name, widths in known.items()}
    family = {name: factor for name, factor in factors.items() if factor}
    if max(family.values(), default=0.0) > 1:
        return table.iloc[:0].assign(width=0.0)
    rows = table[table["arch"].isin(family)].assign(width=lambda rows: rows["arch"].map(family).astype(float))
    widths = rows.groupby(["label", rows["asked_sparsity"].fillna(-1.0)])["width"].transform("nunique")
    rows = rows[widths > 1]
    return rows if (~rows["method"].isin(REFERENCES)).any() else rows.iloc[:0]


def _factor(widths: tuple[int, ...], base: tuple[int, ...]) -> float:
    """By what the widths of one network are those of another, up to whole units; 0 where they are not."""
    if not base or len(widths) != len(base):
        return 0.0
    factor = widths[0] / base[0]
    same = all(abs(width - factor * other) <= ROUNDED for width, other in zip(widths, base, strict=True))
    return factor if same else 0.0
