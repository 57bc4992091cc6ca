"""What people type to choose things."""

import json
import math
import string

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from slt_bench.jobs.parsing import (
    check_sparsity,
    choose,
    parse_assignments,
    parse_options,
    parse_seeds,
    parse_sparsities,
    split_list,
)
from slt_bench.utils.errors import UserError

KNOWN = ["edgepopup", "gates", "gates_structured", "random_mask"]
NAMES = st.text(string.ascii_lowercase + string.digits + "_", min_size=1, max_size=12)
quick = settings(deadline=None, max_examples=150)


def test_split_list_keeps_order_without_blanks_and_repetitions():
    assert split_list(" b, a,,b , c,") == ["b", "a", "c"]
    assert split_list(" , ") == []


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("gates", ["gates"]),
        ("random_mask, gates", ["random_mask", "gates"]),
        ("gates,gates", ["gates"]),
        ("gates*", ["gates", "gates_structured"]),
        ("random_mask,*", ["random_mask", "edgepopup", "gates", "gates_structured"]),
        ("*gate?,edgepopup", ["gates", "edgepopup"]),
        ("[eg]*,", ["edgepopup", "gates", "gates_structured"]),
    ],
)
def test_choose_takes_names_and_globs(text, chosen):
    assert choose("method", text, KNOWN) == chosen


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("gate", "Unknown method 'gate'. Did you mean gates"),
        ("gates,zzz", "Unknown method 'zzz'. Known: edgepopup, gates"),
        ("x*", "No method matches 'x*'. Known: edgepopup"),
        ("", "list of methods is empty"),
        (" , ,", "list of methods is empty"),
    ],
)
def test_choose_tells_what_is_wrong_and_what_would_be_right(text, told):
    with pytest.raises(UserError) as error:
        choose("method", text, KNOWN)
    assert told in str(error.value)


def test_choose_asks_for_names_outside_the_known_ones():
    assert choose("architecture", "timm:a*,lenet", ["lenet"], lambda name: name.startswith("timm:")) == [
        "timm:a*",
        "lenet",
    ]


@quick
@given(st.lists(NAMES, min_size=1, max_size=8, unique=True), st.data())
def test_choose_gives_back_any_selection_of_names(known, data):
    wanted = data.draw(st.lists(st.sampled_from(known), min_size=1))
    assert choose("thing", ",".join(wanted), known) == list(dict.fromkeys(wanted))


@quick
@given(st.text() | st.text("*?[]!-^\\,. ab"))
def test_choose_raises_nothing_but_user_errors(text):
    try:
        chosen = choose("method", text, KNOWN)
    except UserError:
        pass
    else:
        assert chosen
        assert set(chosen) <= set(KNOWN)
        assert len(chosen) == len(set(chosen))


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("0", (0,)),
        ("0-2", (0, 1, 2)),
        ("0-2,7", (0, 1, 2, 7)),
        ("7, 0-2", (7, 0, 1, 2)),
        ("3-3", (3,)),
        ("1,0-2,1", (1, 0, 2)),
        ("007", (7,)),
    ],
)
def test_seeds_are_numbers_and_ranges(text, seeds):
    assert parse_seeds(text) == seeds


@quick
@given(st.lists(st.tuples(st.integers(0, 10**9 - 1), st.integers(0, 30)), min_size=1, max_size=6))
def test_seeds_round_trip(ranges):
    ends = [(first, min(first + more, 10**9 - 1)) for first, more in ranges]
    text = ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ends)
    expected = [seed for first, last in ends for seed in range(first, last + 1)]
    assert parse_seeds(text) == tuple(dict.fromkeys(expected))


@quick
@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=8))
def test_sparsities_round_trip(values):
    assert parse_sparsities(", ".join(map(repr, values))) == tuple(dict.fromkeys(values))


@quick
@given(st.floats())
@example(math.nan)
@example(1.0)
@example(-0.0)
def test_check_sparsity_gives_the_value_itself_or_refuses_it(value):
    if 0 <= value < 1:
        assert check_sparsity(value) == value
    else:
        with pytest.raises(UserError, match="fraction of weights removed"):
            check_sparsity(value)


def test_no_sparsity_is_minus_zero():
    """Minus zero would be another job, with another id, than zero."""
    assert math.copysign(1, check_sparsity(-0.0)) == 1
    assert math.copysign(1, parse_sparsities("-0")[0]) == 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.3", 0.3),
        ("3", 3),
        ("true", True),
        ("null", None),
        ("global", "global"),
        ('"0.3"', "0.3"),
        ("[1, 2]", [1, 2]),
        ("a=b.c", "a=b.c"),
        ("", ""),
        ("1" * 5000, "1" * 5000),
    ],
)
def test_assignments_are_json_where_they_can_be(text, value):
    assert parse_assignments([f" gates.sigma = {text} "]) == {"gates": {"sigma": value}}


def test_assignments_gather_by_method_and_the_last_wins():
    items = ["gates.sigma=0.1", "edgepopup.lr=1", "gates.lr=2", "gates.sigma=0.2"]
    assert parse_assignments(items) == {"gates": {"sigma": 0.2, "lr": 2}, "edgepopup": {"lr": 1}}
    assert parse_assignments([]) == {}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@quick
@given(st.dictionaries(NAMES, st.dictionaries(NAMES, JSON, min_size=1, max_size=3), max_size=3))
def test_assignments_round_trip(wanted):
    items = [f"{method}.{field}={json.dumps(value)}" for method, own in wanted.items() for field, value in own.items()]
    assert parse_assignments(items) == wanted


@pytest.mark.parametrize(
    ("items", "options"),
    [
        ([], {}),
        (["partition=gpu,mem_gb=8"], {"partition": "gpu", "mem_gb": 8}),
        (["partition=gpu", "mem_gb=8"], {"partition": "gpu", "mem_gb": 8}),
        ([" partition = gpu , mem_gb = 8 "], {"partition": "gpu", "mem_gb": 8}),
        (["mem_gb=2.5,exclusive=true,wait=false"], {"mem_gb": 2.5, "exclusive": True, "wait": False}),
        (["nice=-10"], {"nice": -10}),
        (["exclude=node1,node2,qos=high"], {"exclude": "node1,node2", "qos": "high"}),
        (["nodelist=node[01-04,07]"], {"nodelist": "node[01-04,07]"}),
        (["constraint='a100|h100'"], {"constraint": "'a100|h100'"}),
        (['comment="two words"'], {"comment": '"two words"'}),
        (["account=007,qos=00"], {"account": "007", "qos": "00"}),
        (["nice=-01"], {"nice": "-01"}),
        (["account=0,nice=-0,share=0.5"], {"account": 0, "nice": 0, "share": 0.5}),
        (["gres=gpu:a100:2,dependency=afterok:123"], {"gres": "gpu:a100:2", "dependency": "afterok:123"}),
        (["comment="], {"comment": ""}),
        (["comment=a=b"], {"comment": "a=b"}),
        (
            ["comment=nan,name=1e3,account=True,qos=null"],
            {"comment": "nan", "name": "1e3", "account": "True", "qos": "null"},
        ),
        (["mem_gb=8", "mem_gb=16"], {"mem_gb": 16}),
        (["setup=module load a\nexport B=1"], {"setup": "module load a\nexport B=1"}),
        (["account=" + "1" * 5000], {"account": "1" * 5000}),
    ],
)
def test_options_are_numbers_where_they_look_like_ones(items, options):
    found = parse_options(items)
    assert found == options
    assert [type(value) for value in found.values()] == [type(value) for value in options.values()]


OPTION = (
    st.booleans()
    | st.integers(-(10**15) + 1, 10**15 - 1)
    | st.text(string.ascii_letters + "_:/[]|'\" .-", min_size=1)
    .map(str.strip)
    .filter(lambda text: text not in ("true", "false"))
)


def typed(value):
    return str(value).lower() if isinstance(value, bool) else str(value)


@quick
@given(st.lists(st.dictionaries(NAMES, OPTION, min_size=1, max_size=4), max_size=3))
def test_options_round_trip(groups):
    items = [", ".join(f"{name}={typed(value)}" for name, value in group.items()) for group in groups]
    wanted = {name: value for group in groups for name, value in group.items()}
    found = parse_options(items)
    assert found == wanted
    assert {name: type(value) for name, value in found.items()} == {name: type(value) for name, value in wanted.items()}


@quick
@given(st.lists(st.text("ab1[]", min_size=1), min_size=2), NAMES, NAMES)
def test_a_comma_before_no_name_is_the_values(parts, first, second):
    value = ",".join(["x", *parts])
    wanted = {first: value} | {second: "y"}
    assert parse_options([f"{first}={value},{second}=y"]) == wanted


@quick
@given(st.floats(-(10**14), 10**14).map(lambda number: f"{number:.6f}"))
def test_decimal_options_are_their_numbers(text):
    assert parse_options([f"mem_gb={text}"]) == {"mem_gb": float(text)}


def is_finite(value):
    return not isinstance(value, float) or math.isfinite(value)


@pytest.mark.parametrize(
    ("parse", "is_right"),
    [
        (parse_seeds, lambda found: all(isinstance(seed, int) and seed >= 0 for seed in found)),
        (parse_sparsities, lambda found: all(0 <= value < 1 for value in found)),
        (lambda text: parse_assignments([text]), lambda found: all(m and f for m, own in found.items() for f in own)),
        (lambda text: parse_options([text]), lambda found: all(map(is_finite, found.values()))),
    ],
    ids=["seeds", "sparsities", "assignments", "options"],
)
@quick
@given(text=st.text() | st.text("0123456789-+eE., infa_") | st.text('ab.=, []{}",0.1-\n'))
@example(text="a.b=" + "[" * 100_000)
@example(text="a.b=1\n")
@example(text="a.b=\nx")
@example(text="a=1\n")
@example(text="a=\n1")
@example(text="a=" + "0" * 5000)
@example(text="a=--1")
def test_nothing_is_raised_but_user_errors(parse, is_right, text):
    try:
        found = parse(text)
    except UserError:
        return
    assert found
    assert is_right(found)


@pytest.mark.parametrize(
    ("parse", "texts", "told"),
    [
        (
            parse_seeds,
            ["", ",", "a", "-1", "3-1", "1-", "1.5", "0..3", "1e3", "0-10000", "\N{SUPERSCRIPT TWO}", "9" * 10],
            r"[Ss]eeds",
        ),
        (parse_seeds, ["0,3-1"], "Write it as 1-3"),
        (
            parse_sparsities,
            ["0.5,1", "1.0", "-0.1", "0.5,nan", "inf", "0.5,-inf", "half", "50%", "", ",", "0.5,1e400"],
            r"[Ss]parsit",
        ),
        (
            lambda text: parse_assignments([text]),
            ["", "gates", "gates.sigma", "sigma=0.3", ".sigma=1", "gates.=1", "a.b.c=1", "a b.c=1"],
            r"gates\.sigma=0\.3",
        ),
        (
            lambda text: parse_options([text]),
            ["", " ", "partition", "=gpu", "partition gpu", "a-b=1", "gpu,mem_gb=8"],
            r"Write NAME=VALUE, as in partition=gpu,mem_gb=8\.",
        ),
    ],
)
def test_other_texts_are_refused_with_what_to_write(parse, texts, told):
    for text in texts:
        with pytest.raises(UserError, match=told):
            parse(text)
