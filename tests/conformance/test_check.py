"""The conformance suite: honest methods pass, and each cheat is caught by the check that is meant for it."""

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import cheats

from slt_bench.conformance.checks import CHECKS
from slt_bench.conformance.conform import conform
from slt_bench.conformance.subject import CheckedMethod
from slt_bench.registry import load_registry

QUICK = [name for name in CHECKS if name != "families"]  # which builds a Swin transformer
CAUGHT = {  # by which check, with which words, and at which attribute of the class
    "Detached": ("gradients", r"gates\(\) returns is detached", "gates"),
    "DetachedLoss": ("gradients", r"objective\(\) returns is detached", "objective"),
    "LossOfEach": ("gradients", r"loss is float32 of shape .*single number", "objective"),
    "Empties": ("gradients", r"mask keeps no weight of layer 3\.weight", "mask"),
    "EmptiesTheLast": ("mask", r"mask keeps no weight of layer 5\.weight", "mask"),
    "CountsInFractions": ("gates", "TypeError", "mask"),
    "CannotBeMade": ("gates", "KeyError", "__init__"),
    "TrainsWeights": ("weights", "frozen weights were changed", "on_progress"),
    "TrainsWeightsInItsLoss": ("weights", "frozen weights were changed", "objective"),
    "TrainsAnEmbedding": ("families", "changes what is frozen in a ViT network", "on_progress"),
    "TrainsACopy": ("purity", "make it 'trained'", "effective"),
    "TrainsWhatIsNotItsOwn": ("gradients", "trains tensors that are no parameters", "optimizer"),
    "SoftMask": ("mask", "a soft mask", "mask"),
    "ShortMask": ("mask", r"bool of shape \(49200,\); a mask is bool of shape \(49600,\)", "mask"),
    "RestlessMask": ("mask", "differs from call to call", "mask"),
    "HiddenScale": ("purity", r"scales 1\.weight by .* makes it 'rescaled'", "effective"),
    "ScaledGates": ("gates", r"between 0 and 1\.5", "gates"),
    "Negative": ("gates", r"between -0\.5 and 0\.5", "gates"),
    "NoisyRelaxed": ("gates", "differ from call to call", "gates"),
    "Peeks": ("test split", "peeks at the test split: it asks for the test split", "on_progress"),
    "PeeksAndHides": ("test split", "it asks for the test split", "on_progress"),
    "PeeksBehind": ("test split", "with another one, its mask is another one", "mask"),
    "PeeksByName": ("test split", r"it (opens .*digits\.csv|asks for the test split)", "on_progress"),
    "PeeksIntoFiles": ("test split", r"opens .*digits\.csv", "on_progress"),
    "OtherSparsity": ("sparsity", r"sparsity 0\.7500 where 0\.8 was asked", "mask"),
    "Idle": ("gradients", "no gradient reaches its parameter 'unused'", "gates"),
    "NotFinite": ("gradients", "gradient of its parameter 'scores' is not finite", "penalty"),
    "LearnsNothing": ("planted ticket", "does not come near", "gates"),
    "LearnsTheWrongWay": ("planted ticket", "does not come near", "gates"),
    "Unseeded": ("same seed", "differ in a second search", "__init__"),
    "HidesState": ("resume", "differ after it was stopped", "on_progress"),
    "OnlyMatrices": ("families", "ValueError: too many values to unpack", "gates"),
    "OpenSettings": ("settings", "'lr' can be changed", "Settings"),
    "SaysItIsTrained": ("purity", "gives no changed weights", "purity"),
    "GivesChangedWeights": ("purity", "gives changed weights", "changed_weights"),
    "SaysItIsRescaled": ("purity", "changes signs", "changed_weights"),
    "SaysItIsSigned": ("purity", "more than signs", "changed_weights"),
}


def outcomes(kind, names=QUICK):
    return {outcome.check: outcome for outcome in conform(CheckedMethod(kind), names)}


def test_an_honest_method_passes_every_check():
    assert {outcome.status for outcome in conform(CheckedMethod(cheats.Honest))} == {"passed"}


def test_every_cheat_is_among_them():
    kinds = {name for name, thing in vars(cheats).items() if getattr(thing, "__module__", "") == cheats.__name__}
    assert kinds - {"Honest"} == set(CAUGHT)


@pytest.mark.parametrize("name", CAUGHT)
def test_a_cheat_is_caught_by_name(name):
    check, words, attribute = CAUGHT[name]
    kind = getattr(cheats, name)
    (outcome,) = conform(CheckedMethod(kind), [check])
    assert outcome.status == "failed"
    assert re.search(words, outcome.words), outcome.words
    place = re.fullmatch(r"(.*cheats\.py):(\d+) \((\w+)\)", outcome.where)
    assert place, outcome.where
    assert place[3] == attribute
    lines = Path(cheats.__file__).read_text().splitlines()
    nearby = "\n".join(lines[int(place[2]) - 12 : int(place[2])])
    assert attribute in nearby


ONCE = [  # what would fail several checks
    *("Detached", "DetachedLoss", "LossOfEach", "Empties", "EmptiesTheLast", "CountsInFractions", "CannotBeMade"),
    *("TrainsWeights", "SoftMask", "RestlessMask", "Negative", "NoisyRelaxed", "NotFinite", "Unseeded"),
    "GivesChangedWeights",
]


@pytest.mark.parametrize("name", ONCE)
def test_one_cause_is_told_once(name):
    found = outcomes(getattr(cheats, name))
    (failed,) = (outcome for outcome in found.values() if outcome.status == "failed")
    if name != "RestlessMask":  # whose gates show it first
        assert failed.check == CAUGHT[name][0]
    assert failed.where.endswith(f"({CAUGHT[name][2]})")
    others = [outcome for outcome in found.values() if outcome.status == "skipped"]
    assert others
    for outcome in others:
        assert "makes it fail, too" in outcome.words
        assert outcome.where == ""


@pytest.mark.parametrize("name", ["HiddenScale", "Peeks", "Idle", "OtherSparsity"])
def test_what_a_cheat_keeps_is_not_held_against_it(name):
    found = outcomes(getattr(cheats, name), ["settings", "gates", "mask", "same seed", "resume"])
    assert {outcome.status for outcome in found.values()} == {"passed"}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(load_registry().methods))
def test_every_method_of_the_suite_passes(name):
    found = outcomes(load_registry().find(name), list(CHECKS))
    failed = [f"{outcome.check}: {outcome.words}" for outcome in found.values() if outcome.status == "failed"]
    assert failed == []


def test_the_published_gates_pass_too():
    kind = load_registry().find("gates")
    found = {one.check: one for one in conform(CheckedMethod(kind, {"penalty": 1e-6}), QUICK)}
    assert [one.check for one in found.values() if one.status == "failed"] == []
    assert found["sparsity"].status == "skipped"


def test_settings_that_are_wrong_are_a_finding():
    (outcome,) = conform(CheckedMethod(cheats.Honest, {"lr": "fast"}), ["settings"])
    assert outcome.status == "failed"
    assert "lr" in outcome.words
