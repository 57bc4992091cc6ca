"""Networks that differ in their width alone."""

import pandas as pd

from slt_bench.archs import hidden_widths, is_known

ROUNDED = 0.5  # of a unit


def narrower(table: pd.DataFrame, arch: str) -> pd.DataFrame:
    """The records of a fully connected network and of those that are narrower in every hidden layer by one factor.

    Args:
        table: Records of one data set, init and budget, as from `analysis.frame`.
        arch: A network; others are compared with it.

    Returns:
        The records with the column `width`, in (0, 1], relative to that network; none where there is only one such
        network, or one that is wider.
    """
    known = {name: hidden_widths(name) for name in table["arch"].unique() if is_known(name)}
    factors = {name: _factor(widths, known.get(arch, ())) for name, widths in known.items()}
    family = {name: factor for name, factor in factors.items() if factor}
    if len(set(family.values())) == 1 or max(family.values(), default=0.0) > 1:
        return table.iloc[:0].assign(width=0.0)
    return table[table["arch"].isin(family)].assign(width=lambda rows: rows["arch"].map(family))


def _factor(widths: tuple[int, ...], base: tuple[int, ...]) -> float:
    """By what the widths of one network are those of another, up to whole units; 0 where they are not."""
    if not base or len(widths) != len(base):
        return 0.0
    factor = widths[0] / base[0]
    same = all(abs(width - factor * other) <= ROUNDED for width, other in zip(widths, base, strict=True))
    return factor if same else 0.0
