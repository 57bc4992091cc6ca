"""Where a method keeps its weights: layer densities."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from slt_bench.report.figures.axes import by_label, lowest, panels, rounded, short_names, spread
from slt_bench.utils.text import number

FEW_LAYERS, FEW_SPARSITIES = 12, 10  # up to which cells hold their number
MOST_TICKS = 8
MANY_LAYERS = 24  # from which on they have no names


def layer_densities(layers: pd.DataFrame) -> Figure:
    """A heat map a method: its layers, the first at the top, over sparsity; means over seeds.

    Args:
        layers: Rows of layers with the columns label, asked_sparsity or else sparsity, place, layer, density.
    """
    found = list(by_label(layers))
    names = short_names(layers["label"])
    norm = LogNorm(min(0.1, float(layers["density"][layers["density"] > 0].min())), 1.0)
    figure, axes = panels(len(found), 0.9 + min(4.0, 0.2 * layers["place"].nunique()), columns=2)
    for index, (panel, (label, rows)) in enumerate(zip(axes, found, strict=True)):
        image = _draw(panel, rows, norm, first=index % 2 == 0)
        panel.set_title(names[label])
    columns = {tuple(label.get_text() for label in panel.get_xticklabels()) for panel in axes}
    for panel in lowest(axes, hide_others=len(columns) == 1):
        panel.set_xlabel("sparsity")
    figure.colorbar(image, ax=axes, label="share of weights kept", format="{x:g}", pad=0.02)
    return figure


def _draw(panel: Axes, rows: pd.DataFrame, norm: LogNorm, *, first: bool) -> AxesImage:
    at = rows["asked_sparsity"].fillna(rows["sparsity"]).map(rounded, na_action="ignore")
    grid = rows.assign(at=at).pivot_table(index="place", columns="at", values="density", aggfunc="mean")
    names = rows.drop_duplicates("place").set_index("place")["layer"]
    image = panel.imshow(grid.clip(lower=norm.vmin).to_numpy(), norm=norm, cmap="cividis", aspect="auto")
    panel.grid(visible=False)
    ticks = spread(range(len(grid.columns)), MOST_TICKS)
    panel.set_xticks(ticks, [number(grid.columns[tick]) for tick in ticks])
    named = first and len(grid) <= MANY_LAYERS
    panel.set_yticks(range(len(grid)) if named else [], [names[place] for place in grid.index] if named else [])
    panel.set_ylabel("layer" if first else "")
    panel.tick_params(labelsize=6, length=0)
    if len(grid) <= FEW_LAYERS and len(grid.columns) <= FEW_SPARSITIES:
        _annotate(panel, grid, norm)
    return image


def _annotate(panel: Axes, grid: pd.DataFrame, norm: LogNorm) -> None:
    """The number in each cell, dark on light ones."""
    for row, values in enumerate(grid.to_numpy()):
        for column, value in enumerate(values):
            colour = "black" if norm(max(value, norm.vmin)) > 0.6 else "white"
            panel.text(column, row, f"{value:.2g}", ha="center", va="center", fontsize=5, color=colour)
