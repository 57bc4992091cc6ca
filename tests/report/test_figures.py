"""What any figure must be: readable, whatever is drawn."""

import math
import warnings
from itertools import combinations, pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slt_bench.analysis.curves import curves
from slt_bench.analysis.matched import at_equal_accuracy, comparable_sparsity
from slt_bench.report.figures.accuracy import accuracy_over_sparsity
from slt_bench.report.figures.axes import position, save
from slt_bench.report.figures.comparable import highest_sparsity
from slt_bench.report.figures.cost import accuracy_over_cost
from slt_bench.report.figures.densities import layer_densities
from slt_bench.report.figures.gates import binarisation, gate_histograms
from slt_bench.report.figures.learning import learning_curves
from slt_bench.report.figures.legends import methods
from slt_bench.report.figures.networks import accuracy_by_network, sparsity_against
from slt_bench.report.figures.sanity import sanity_checks
from slt_bench.report.figures.width import over_width
from slt_bench.report.style import assign_styles, style

LABELS = ["biprop", "edgepopup", "gates", "hard_concrete", "iterand"]
MORE = "signed_constant, not rescaled, 1 epoch, precision bf16"
TITLES = [
    f"{name}, {MORE}" for name in ("conv2 on cifar10", "lenet300 on mnist", "wrn28_10 on cifar10", "vit on digits")
]
SPARSITIES = [round(0.3 + 0.69 * index / 14, 3) for index in range(15)]


@pytest.fixture(autouse=True)
def _styled():
    with style():
        yield


@pytest.fixture(scope="module")
def table():
    """Five methods at 15 sparsities: more than any axis has room for."""
    same = {
        "purity": "frozen", "arch": "lenet300", "dataset": "mnist", "init": "signed_constant", "status": "done",
        "learned": True,
        "shuffled_accuracy": 0.1, "redrawn_accuracy": 0.1, "inverted_accuracy": 0.1, "split": "test",
    }  # fmt: skip
    rows = [
        same
        | {"label": label, "method": label, "asked_sparsity": sparsity, "sparsity": sparsity, "seed": seed}
        | dict.fromkeys(("accuracy", "validation_accuracy"), 0.98 - 0.01 * seed - 0.2 * sparsity**9)
        for label in LABELS
        for sparsity in SPARSITIES
        for seed in range(2)
    ]
    return pd.DataFrame(rows)


@pytest.fixture(
    params=[
        *("accuracy", "learning", "sanity", "layers", "gaps", "gates", "width", "networks", "against", "comparable"),
        *("cost", "cost of 12"),
    ]
)
def figure(request, table):
    """A figure of each kind with several panels or a long axis."""
    parts = pd.concat([table.assign(layer=f"{place}.weight", place=place, density=0.5) for place in range(3)])
    bins = pd.concat([table.assign(low=low, high=low + 0.25, share=0.25) for low in (0.0, 0.25, 0.5, 0.75)])
    shares = {"closed": 0.7, "open": 0.1, "fractional": 0.2}
    trade = at_equal_accuracy(table.assign(accuracy=weaker(table)), "edgepopup")
    widths = pd.concat([table.assign(width=width, **shares) for width in (0.1, 0.3, 1.0)])
    epochs = pd.concat([table.assign(epoch=epoch) for epoch in (1, 2, 3)])
    dense = table.assign(label="dense", method="dense", asked_sparsity=math.nan, sparsity=0.0)
    reach = comparable_sparsity(pd.concat([table, dense]))
    costs = table.assign(search_seconds=2.0 + table["seed"], peak_memory_mb=300.0)
    many = pd.concat([costs.assign(label=costs["label"] + suffix) for suffix in ("", " of old", " anew")])
    others = dict(zip(TITLES, ("edgepopup", *("edgepopup_uniform",) * len(TITLES)), strict=False))
    makers = {
        "accuracy": lambda: accuracy_over_sparsity(table, curves(table), assign_styles(LABELS), "title"),
        "sanity": lambda: sanity_checks(table, assign_styles(LABELS)),
        "layers": lambda: layer_densities(parts),
        "gates": lambda: gate_histograms(bins),
        "width": lambda: over_width(widths, assign_styles(LABELS)),
        "networks": lambda: accuracy_by_network(
            dict.fromkeys([*TITLES, "conv4", "conv6"], table), assign_styles(LABELS)
        ),
        "against": lambda: sparsity_against(dict.fromkeys(TITLES, trade), others, assign_styles(LABELS)),
        "learning": lambda: learning_curves(epochs, assign_styles(LABELS)),
        "gaps": lambda: binarisation(table.assign(binarisation_gap=0.01, fractional=0.1), assign_styles(LABELS)),
        "comparable": lambda: highest_sparsity(reach, assign_styles(LABELS), SPARSITIES),
        "cost": lambda: accuracy_over_cost(costs, assign_styles(LABELS)),
        "cost of 12": lambda: accuracy_over_cost(many, assign_styles(set(many["label"]))),
    }
    made = makers[request.param]()
    made.kind = request.param
    made.canvas.draw()
    return made


def weaker(table):
    """The accuracies, those of one method lower."""
    return table["accuracy"] - 0.01 * (table["label"] == "edgepopup")


def labels_of(axis):
    """The places of an axis' labels that are seen, and their texts."""
    seen = [label for label in axis.get_ticklabels() if label.get_visible() and label.get_text()]
    return [label.get_window_extent() for label in seen], [label.get_text() for label in seen]


def test_no_two_labels_of_an_axis_touch(figure):
    read = 0
    for axes in figure.axes:
        boxes, _ = labels_of(axes.xaxis)
        read += len(boxes)
        assert all(left.x1 < right.x0 for left, right in pairwise(sorted(boxes, key=lambda box: box.x0)))
    assert read > 3


def test_a_legend_covers_nothing_and_lies_within_the_figure(figure):
    legends = [*figure.legends, *(axes.legend_ for axes in figure.axes if axes.legend_)]
    for legend in legends:
        box = legend.get_window_extent()
        assert not [axes for axes in figure.axes if axes.get_visible() and box.overlaps(axes.get_tightbbox())]
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1
    assert len(legends) == (0 if figure.kind == "layers" else 1)


TEXTS = st.text(st.sampled_from("ab_ …\u200b(2)"), min_size=1, max_size=4)
SIMILAR = st.builds("{}{}{}{}{}".format, TEXTS, st.just("a" * 18), TEXTS, st.just("b" * 20), TEXTS)


@given(st.lists(st.one_of(st.text(min_size=1), TEXTS, SIMILAR), unique=True, min_size=1, max_size=30))
def test_distinct_labels_have_distinct_entries_in_legends(labels):
    entries = methods(pd.DataFrame({"label": labels, "method": "mine"}), assign_styles(labels))
    shown = [entry.get_label() for entry in entries]
    assert len(set(shown)) == len(labels)
    assert not any(text.startswith("_") for text in shown), "matplotlib would leave it out"
    assert max(map(len, shown)) <= 37
    for label, text in zip(sorted(labels), shown, strict=True):
        if len(label) <= 36 and not label.startswith("_"):
            assert text == label or not text.isprintable()


ALIKE = ["a rather long label of variant number 1, smoothed", "a rather long label of variant number 2, smoothed"]
DRAWN = {
    "learning": lambda table: learning_curves(table.assign(epoch=1), assign_styles(ALIKE)),
    "cost": lambda table: accuracy_over_cost(
        table.assign(search_seconds=2.0, peak_memory_mb=3.0), assign_styles(ALIKE)
    ),
    "gaps": lambda table: binarisation(table.assign(binarisation_gap=0.01, fractional=0.1), assign_styles(ALIKE)),
    "accuracy": lambda table: accuracy_over_sparsity(table, curves(table), assign_styles(ALIKE), "title"),
    "sanity": lambda table: sanity_checks(table, assign_styles(ALIKE)),
    "layers": lambda table: layer_densities(table.assign(layer="weight", place=0, density=0.5)),
    "gates": lambda table: gate_histograms(table.assign(low=0.0, high=1.0, share=1.0)),
}


@pytest.mark.parametrize("kind", DRAWN)
def test_long_labels_show_where_they_differ(table, kind):
    rows = table[table["label"].isin(LABELS[:2])]
    made = DRAWN[kind](rows.assign(label=rows["label"].map(dict(zip(LABELS, ALIKE, strict=False)))))
    titles = [axes.get_title() for axes in made.axes]
    shown = [*titles, *(text.get_text() for legend in made.legends for text in legend.get_texts())]
    assert sum("umber 1" in text for text in shown) == 1, shown
    assert sum("umber 2" in text for text in shown) == 1


@pytest.fixture
def font(tmp_path):
    """The name of a font of this machine that has no sign but U+20000."""
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen
    from matplotlib.font_manager import fontManager

    pen = TTGlyphPen(None)
    for move, point in zip((pen.moveTo, pen.lineTo, pen.lineTo), ((0, 0), (500, 0), (0, 500)), strict=True):
        move(point)
    pen.closePath()
    made, names, glyph = FontBuilder(1000, isTTF=True), [".notdef", "sign"], pen.glyph()
    made.setupGlyphOrder(names)
    made.setupCharacterMap({0x20000: "sign"})
    made.setupGlyf(dict.fromkeys(names, glyph))
    made.setupHorizontalMetrics(dict.fromkeys(names, (600, 0)))
    made.setupHorizontalHeader(ascent=800, descent=-200)
    made.setupNameTable({"familyName": "One Sign", "styleName": "Regular"})
    made.setupOS2()
    made.setupPost()
    made.save(tmp_path / "one.ttf")
    fontManager.addfont(tmp_path / "one.ttf")
    yield "One Sign"
    fontManager.ttflist.pop()


def save_with(label, table, folder):
    """The SVG file of a figure with this label, drawn where every warning is an error."""
    rows = table[table["label"] == "gates"].assign(label=label, binarisation_gap=0.01, fractional=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, svg, _ = save(binarisation(rows, assign_styles([label])), folder, "figure")
    return svg.read_text(encoding="utf-8")


def test_labels_of_any_script_have_a_font_where_there_is_one(table, font, tmp_path):
    assert font in save_with("gates \U00020000", table, tmp_path)
    assert font not in save_with("gates", table, tmp_path)


def test_signs_that_no_font_has_warn_of_nothing(table, tmp_path):
    assert "gates \U000e0fff" in save_with("gates \U000e0fff", table, tmp_path), "an unassigned sign"
    assert "gates \U0002fa10" in save_with("gates \U0002fa10", table, tmp_path)


@pytest.mark.parametrize("sparsity", [0.9996, 0.99996, 0.9999999])
def test_the_axis_names_the_sparsities_near_one(table, sparsity):
    rows = table[(table["label"] == "gates") & (table["asked_sparsity"] == 0.99)]
    made = binarisation(
        rows.assign(asked_sparsity=sparsity, sparsity=sparsity, binarisation_gap=0.0, fractional=0.0),
        assign_styles(["gates"]),
    )
    (tick,), (text,) = made.axes[0].get_xticks(), made.axes[0].get_xticklabels()
    low, high = made.axes[0].get_xlim()
    assert low < tick < high
    assert float(text.get_text()) == sparsity


@pytest.mark.parametrize(("sparsest", "seen"), [(0.99, True), (0.9, False)])
def test_twice_as_sparse_is_in_the_legend_only_where_it_can_be_seen(sparsest, seen):
    trade = pd.DataFrame({"label": "gates", "accuracy": 0.9, "baseline_sparsity": [0.5, 0.7], "sparsity": sparsest})
    made = sparsity_against({"a network": trade}, {"a network": "edgepopup"}, assign_styles(LABELS))
    dotted = [curve for curve in made.axes[0].lines if curve.get_linestyle() == ":"]
    told = [text.get_text() for text in made.legends[0].get_texts()]
    assert ("1.8 times as sparse" in told) == bool(dotted) == seen


@pytest.mark.parametrize(
    ("baselines", "below", "panels"),
    [
        (("edgepopup", "edgepopup"), "sparsity of edgepopup at the same accuracy", {""}),
        (("edgepopup", "edgepopup_uniform"), "sparsity of the baseline at the same accuracy", None),
    ],
)
def test_panels_name_their_baselines_where_these_differ(baselines, below, panels):
    trade = pd.DataFrame({"label": "gates", "accuracy": 0.9, "baseline_sparsity": [0.5, 0.7], "sparsity": 0.8})
    made = sparsity_against(
        {"one": trade, "two": trade}, dict(zip(("one", "two"), baselines, strict=True)), assign_styles(LABELS)
    )
    named = {axes.get_xlabel() for axes in made.axes if axes.get_visible()}
    assert made.get_supxlabel() == below
    assert named == (panels or set(baselines))


def test_of_sparsities_that_share_a_tick_the_roundest_is_told(table):
    counted = table[table["sparsity"].isin(SPARSITIES[:1])]
    near = [0.497, 0.5, 0.7998, 0.8, 0.8003, 0.899, 0.9, 0.979, 0.98]
    rows = pd.concat([counted.assign(sparsity=sparsity, asked_sparsity=sparsity) for sparsity in near])
    made = accuracy_over_sparsity(rows, curves(rows), assign_styles(LABELS), "title")
    made.canvas.draw()
    told = [labels_of(axes.xaxis)[1] for axes in made.axes]
    assert [texts for texts in told if texts] == [["0.5", "0.8", "0.9", "0.98"]]


def test_no_two_titles_touch(figure):
    boxes = [axes.title.get_window_extent() for axes in figure.axes if axes.get_title()]
    assert not [pair for pair in combinations(boxes, 2) if pair[0].overlaps(pair[1])]
    assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 for box in boxes)


def test_masks_of_one_asked_sparsity_stand_above_one_another(table):
    rows = table[table["sparsity"].isin(SPARSITIES[:1])].assign(asked_sparsity=0.9, sparsity=0.9)
    rows.loc[rows["label"] == "edgepopup", "sparsity"] = 0.8994
    made = accuracy_over_sparsity(rows, curves(rows), assign_styles(LABELS), "title")
    made.canvas.draw()
    places = position([0.8994, 0.9])
    shares = [float(np.ptp(places) / np.ptp(axes.get_xlim())) for axes in made.axes]
    told = [labels_of(axes.xaxis)[1] for axes in made.axes]
    assert max(shares) < 0.05
    assert [texts for texts in told if texts] == [["0.9"]]


def test_labels_are_numbers_and_names(figure):
    texts = [text for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) for text in labels_of(axis)[1]]
    assert texts
    assert not [text for text in texts if set(text) & set("${}\\^")], "no markup of mathematics is left in them"


def test_seeds_that_all_reach_the_same_have_no_bars_and_no_error(table):
    for accuracy in (0.098, 0.1009, 0.1028, 0.1135, 0.9581, 0.9697):
        rows = pd.concat(
            [
                table.assign(seed=seed, accuracy=accuracy, width=width, closed=0.0, open=1.0, fractional=0.0)
                for seed in range(7)
                for width in (0.1, 1.0)
            ]
        )
        assert over_width(rows, assign_styles(LABELS)).axes
