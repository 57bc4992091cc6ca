"""Benchmarks as TOML files, and the jobs that they stand for."""

import re
from fnmatch import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slt_bench.jobs import benchmark as benchmarks
from slt_bench.jobs.benchmark import Benchmark, Job, load, resolve_settings
from slt_bench.jobs.grid import jobs, smoke_selection
from slt_bench.registry import VARIABLE, load_registry
from slt_bench.utils.errors import UserError

GOOD = """
archs = "lenet300"
datasets = "digits"
sparsities = [0.5, 0.9]
seeds = "0-1"
[budget]
epochs = 3
[methods]
gates = {}
"""


@pytest.fixture(autouse=True)
def _no_plugins(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.fixture
def registry():
    return load_registry()


@pytest.fixture
def write(tmp_path):
    def write(text, name="mine"):
        path = tmp_path / f"{name}.toml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


@pytest.fixture
def expand(write, registry):
    """The jobs of a benchmark in TOML."""
    return lambda text, **options: jobs(load(write(text)), registry, **options)


def ids(found):
    return [job.id for job in found]


def test_a_method_may_have_inits_and_a_rescaling_of_its_own(expand):
    found = expand(GOOD + 'other = { method = "gates", inits = ["uniform:0.1", "kaiming_normal"], rescale = "none" }\n')
    cells = {(job.label, job.init, job.rescale) for job in found}
    assert cells == {
        ("gates", "signed_constant", "density"),
        ("other", "uniform:0.1", "none"),
        ("other", "kaiming_normal", "none"),
    }
    assert len(found) == 3 * 2 * 2


def test_the_rescale_of_the_authors_is_that_of_each_asked_sparsity(expand):
    text = GOOD.replace("archs", 'rescale = "authors"\narchs', 1)
    found = expand(text)
    assert {(job.sparsity, job.rescale, job.network_rescale) for job in found} == {
        (sparsity, "authors", f"authors:{sparsity}") for sparsity in {job.sparsity for job in found}
    }
    others = [expand(GOOD), expand(GOOD.replace("archs", 'rescale = "none"\narchs', 1))]
    assert not set(ids(found)) & {name for jobs_ in others for name in ids(jobs_)}
    assert {job.network_rescale for jobs_ in others for job in jobs_} == {"density", "none"}


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("dense = {}", "'dense' has no asked sparsity"),
        ("gates = { settings = { penalty = 1e-6 } }", "'gates' has no asked sparsity"),
        ("gates = { sparsities = [0.0, 0.9] }", "'gates' is asked for sparsity 0"),
    ],
)
def test_the_rescale_of_the_authors_needs_an_asked_sparsity(expand, entry, why):
    text = GOOD.replace("archs", 'rescale = "authors"\narchs', 1).replace("gates = {}", entry, 1)
    with pytest.raises(UserError, match=f"{why}.*authors.*density"):
        expand(text)


def test_a_file_is_loaded_under_its_own_name(write):
    found = load(write(GOOD, "my_own"))
    assert found.name == "my_own"
    assert found.archs == ("lenet300",)
    assert found.datasets == ("digits",)
    assert found.seeds == (0, 1)
    assert found.budget.epochs == 3
    assert found.budget.batch_size == 128
    assert load(write('name = "other"' + GOOD)).name == "other"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("sparsitys = [0.5]", "Unknown key 'sparsitys'. Did you mean sparsities"),
        ("zzz = 1", "Unknown key 'zzz'. Known: about"),
        ('"odd.sparsitys" = 1', "Unknown key 'odd.sparsitys'."),
    ],
)
def test_an_unknown_key_is_told_with_the_nearest(write, line, told):
    path = write(f"{line}\n{GOOD}")
    with pytest.raises(UserError, match=re.escape(told)) as error:
        load(path)
    assert path in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("epochs = 3", "epoch = 3", "Unknown key 'epoch'. Did you mean epochs?"),
        ("gates = {}", "gates = {setings = {}}", "Unknown key 'setings'. Did you mean settings"),
        ('archs = "lenet300"', "", "'archs'"),
        ("0-1", "3-1", "3-1"),
    ],
)
def test_a_wrong_or_missing_key_and_wrong_seeds_are_told(write, old, new, told):
    with pytest.raises(UserError, match=re.escape(told)):
        load(write(GOOD.replace(old, new)))


@pytest.mark.parametrize(
    ("old", "new", "where", "value"),
    [
        ("epochs = 3", 'epochs = "many"', "budget.epochs", "'many'"),
        ("epochs = 3", "epochs = 0", "budget.epochs", "0"),
        ("epochs = 3", 'epochs = "3"', "budget.epochs", "'3'"),
        ("epochs = 3", "epochs = 3.0", "budget.epochs", "3.0"),
        ("epochs = 3", "epochs = true", "budget.epochs", "True"),
        ("epochs = 3", 'augment = "yes"', "budget.augment", "'yes'"),
        ("[0.5, 0.9]", '["0.5"]', "sparsities.0", "'0.5'"),
        ('"0-1"', "[true]", "seeds.0", "True"),
        ("epochs = 3", "epochs = 1.5", "budget.epochs", "1.5"),
        ("epochs = 3", 'schedule = "linear"', "budget.schedule", "'linear'"),
        ("archs", 'name = "../up"\narchs', "name", "'../up'"),
        ("[0.5, 0.9]", '["half"]', "sparsities.0", "'half'"),
        ("[0.5, 0.9]", "[nan]", "sparsities.0", "nan"),
        ("[0.5, 0.9]", "[]", "sparsities", "[]"),
        ('"0-1"', "[-1]", "seeds.0", "-1"),
        ('"0-1"', "[]", "seeds", "[]"),
        ('"lenet300"', "[]", "archs", "[]"),
        ('"lenet300"', "3", "archs", "3"),
        ("gates = {}", "gates = 3", "methods.gates", "3"),
        ("gates = {}", "gates = {sparsities = []}", "methods.gates.sparsities", "[]"),
        ("gates = {}", "", "methods", "{}"),
    ],
)
def test_a_wrong_value_is_told_with_its_key(write, old, new, where, value):
    with pytest.raises(UserError) as error:
        load(write(GOOD.replace(old, new)))
    assert f"not right at '{where}'" in str(error.value)
    assert str(error.value).endswith(f" It has {value}.")


def test_a_missing_file_is_told(tmp_path):
    path = tmp_path / "none.toml"
    with pytest.raises(UserError, match=re.escape(f"There is no benchmark file at {path}.")):
        load(str(path))


@pytest.mark.parametrize("content", [b"archs = ", b"[methods", b"\xff\xfe", b"a = 1\na = 2", b"\x00"])
def test_a_file_that_is_no_toml_is_told(tmp_path, content):
    path = tmp_path / "broken.toml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=re.escape(f"The benchmark file {path} cannot be read: ")):
        load(str(path))


def test_a_folder_is_no_benchmark(tmp_path):
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(UserError, match="cannot be read"):
        load(str(tmp_path / "folder.toml"))


def test_an_unknown_benchmark_is_told_with_the_nearest():
    with pytest.raises(UserError, match=r"Unknown benchmark 'quickstrat'. Did you mean quickstart\?"):
        load("quickstrat")


def test_jobs_are_the_product_of_everything(expand):
    text = GOOD.replace('"lenet300"', '["lenet300", "conv2"]').replace('"digits"', '["digits", "mnist"]')
    text = 'inits = ["signed_constant", "uniform:0.1"]\n' + text + "edgepopup = {}\n"
    found = expand(text)
    cells = {(j.arch, j.dataset, j.init, j.method, j.sparsity, j.seed) for j in found}
    assert len(found) == len(cells) == len(set(ids(found))) == 2 * 2 * 2 * 2 * 2 * 2
    assert {j.init for j in found} == {"signed_constant", "uniform:0.1"}
    assert len({j.folder for j in found}) == len(found)
    assert [j.seed for j in found] == sorted(j.seed for j in found), "the first seed of everything comes first"


def test_an_architecture_brings_its_usual_data_and_the_data_its_usual_epochs(expand):
    text = GOOD.replace('datasets = "digits"', "").replace("epochs = 3", "")
    found = expand(text.replace('"lenet300"', '["lenet300", "conv2"]'))
    assert {(j.arch, j.dataset, j.budget.epochs) for j in found} == {
        ("lenet300", "mnist", 20),
        ("conv2", "cifar10", 100),
    }


def test_a_label_is_the_method_unless_a_method_is_named(expand):
    text = GOOD + "cold = {method = 'gates', settings = {sigma = 0.1}}\n"
    by_label = {job.label: job for job in expand(text)}
    assert {label: job.method for label, job in by_label.items()} == {"gates": "gates", "cold": "gates"}
    assert by_label["gates"].settings == {}
    assert by_label["cold"].settings == {"sigma": 0.1}
    assert by_label["cold"].folder.startswith("gates-lenet300-digits-s0.9-seed1-")


def test_ids_do_not_depend_on_the_names_of_benchmark_and_label(expand, write, registry):
    renamed = GOOD.replace("gates = {}", "cold = {method = 'gates'}")
    assert ids(expand(GOOD)) == ids(expand(renamed)) == ids(jobs(load(write(GOOD, "other")), registry))


def test_a_setting_at_its_default_gives_the_same_id(expand, registry):
    default = resolve_settings("gates", {}, registry).sigma
    spelled_out = GOOD.replace("gates = {}", f"gates = {{settings = {{sigma = {default}}}}}")
    changed = GOOD.replace("gates = {}", f"gates = {{settings = {{sigma = {2 * default}}}}}")
    assert ids(expand(GOOD)) == ids(expand(spelled_out))
    assert not set(ids(expand(GOOD))) & set(ids(expand(changed)))


@pytest.mark.parametrize(
    ("given", "same"),
    [
        ("settings = {lr = 1}", "settings = {lr = 1.0}"),
        ("settings = {lr = 1, sigma = 0.1}", "settings = {sigma = 0.1, lr = 1}"),
    ],
)
def test_settings_are_compared_as_values(expand, given, same):
    assert ids(expand(GOOD.replace("gates = {}", f"gates = {{{given}}}"))) == ids(
        expand(GOOD.replace("gates = {}", f"gates = {{{same}}}"))
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"lenet300"', '"conv2"'),
        ('"digits"', '"mnist"'),
        ("[0.5, 0.9]", "[0.4, 0.8]"),
        ('"0-1"', '"2-3"'),
        ("epochs = 3", "epochs = 4"),
        ("epochs = 3", "epochs = 3\nbatch_size = 64"),
        ("epochs = 3", 'epochs = 3\nschedule = "constant"'),
        ("epochs = 3", "epochs = 3\naugment = false"),
        ("epochs = 3", 'epochs = 3\nprecision = "bf16"'),
        ("gates = {}", "gates = {settings = {sigma = 0.1}}"),
        ("gates = {}", "edgepopup = {}"),
        ("archs", 'inits = "kaiming_normal"\narchs'),
        ("archs", 'rescale = "none"\narchs'),
    ],
)
def test_everything_that_decides_a_result_changes_every_id(expand, old, new):
    changed = GOOD.replace(old, new, 1)
    assert changed != GOOD
    assert not set(ids(expand(GOOD))) & set(ids(expand(changed)))


def test_every_field_of_a_job_but_its_names_decides_the_id(expand):
    job = expand(GOOD)[0]
    others = {
        "method": "edgepopup",
        "settings": {"sigma": 0.1},
        "arch": "conv2",
        "dataset": "mnist",
        "init": "kaiming_normal",
        "rescale": "none",
        "sparsity": 0.51,
        "seed": 5,
        "budget": job.budget.model_copy(update={"epochs": 4}),
        "smoke": True,
        "data_hash": "0" * 32,
    }
    assert set(Job.model_fields) == set(others) | {"benchmark", "label"}, "a new field needs a thought here"
    changed = [job.model_copy(update={name: value}).id for name, value in others.items()]
    assert len({job.id, *changed}) == 1 + len(others)
    assert job.model_copy(update={"benchmark": "b", "label": "l"}).id == job.id
    assert job.model_copy(update={"sparsity": None}).id != job.id


def test_an_id_survives_json(expand):
    for job in expand(GOOD):
        again = Job.model_validate_json(job.model_dump_json())
        assert again == job
        assert again.id == job.id
        assert re.fullmatch(r"[0-9a-f]{10}", job.id)


def test_a_default_of_the_budget_spelled_out_gives_the_same_id(expand):
    assert ids(expand(GOOD)) == ids(expand(GOOD.replace("epochs = 3", "epochs = 3\nbatch_size = 128\naugment = true")))


def test_the_usual_number_of_epochs_spelled_out_gives_the_same_id(expand):
    text = GOOD.replace('"digits"', '"mnist"')
    assert ids(expand(text.replace("epochs = 3", ""))) == ids(expand(text.replace("epochs = 3", "epochs = 20")))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("gates = {}", "gates = {}\ntwin = {method = 'gates'}"),
        ("gates = {}", "gates = {}\ntwin = {method = 'gates', settings = {optimizer = 'adam'}}"),
        ("[0.5, 0.9]", "[0.5, 0.9, 0.50]"),
        ('"0-1"', "[0, 0]"),
        ('"lenet300"', '["lenet300", "lenet300"]'),
        ('"digits"', '["digits", "digits"]'),
        ("archs", 'inits = ["uniform", "uniform:0.1"]\narchs'),
    ],
)
def test_two_jobs_that_are_the_same_are_refused(expand, old, new):
    with pytest.raises(UserError, match="are the same"):
        expand(GOOD.replace(old, new, 1))


def test_a_method_that_decides_the_sparsity_itself_has_one_job_a_seed(expand):
    text = GOOD + "dense = {}\npenalised = {method = 'gates', settings = {penalty = 0.1}}\n"
    found = expand(text)
    for label in ("dense", "penalised"):
        own = [job for job in found if job.label == label]
        assert [(job.sparsity, job.seed) for job in own] == [(None, 0), (None, 1)]
        assert all("-sown-" in job.folder for job in own)
    assert len([job for job in found if job.label == "gates"]) == 4


def test_sparsities_for_a_method_that_decides_itself_are_refused(expand):
    with pytest.raises(UserError, match=r"'dense' is given sparsities, but dense .* decides the sparsity itself"):
        expand(GOOD + "dense = {sparsities = [0.5]}\n")


def test_a_method_may_have_sparsities_of_its_own(expand):
    found = expand(GOOD + "edgepopup = {sparsities = [0.25]}\n")
    assert {job.sparsity for job in found if job.label == "edgepopup"} == {0.25}
    assert {job.sparsity for job in found if job.label == "gates"} == {0.5, 0.9}


@pytest.mark.parametrize("sparsity", ["1.0", "-0.1", "1", "50"])
@pytest.mark.parametrize("place", ["benchmark", "method"])
def test_a_sparsity_outside_its_range_is_refused(expand, sparsity, place):
    new = (
        GOOD.replace("[0.5, 0.9]", f"[0.5, {sparsity}]")
        if place == "benchmark"
        else GOOD.replace("gates = {}", f"gates = {{sparsities = [{sparsity}]}}")
    )
    with pytest.raises(UserError, match="outside"):
        expand(new)


def test_minus_zero_is_the_job_of_zero(expand):
    assert ids(expand(GOOD.replace("[0.5, 0.9]", "[-0.0]"))) == ids(expand(GOOD.replace("[0.5, 0.9]", "[0]")))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("gates = {}", "gats = {}", "Unknown method 'gats'. Did you mean gates"),
        ("gates = {}", "mine = {method = 'edgepop'}", "Unknown method 'edgepop'. Did you mean edgepopup, "),
        ("gates = {}", "gates = {settings = {sigm = 1}}", "Unknown setting of gates 'sigm'. Did you mean sigma"),
        ("gates = {}", "gates = {settings = {sigma = 'x'}}", "A setting of gates is not right at 'sigma'"),
        ("gates = {}", "gates = {settings = {sigma = -1}}", "A setting of gates is not right at 'sigma'"),
        ('"lenet300"', '"lenet30"', "Unknown architecture 'lenet30'. Did you mean lenet300"),
        ('"lenet300"', '"wrn11_2"', "'wrn11_2' has depth 11"),
        ('"digits"', '"digit"', "Unknown data set 'digit'. Did you mean digits"),
        ("archs", 'inits = "kaiming"\narchs', "Unknown init 'kaiming'. Did you mean"),
        ("archs", 'inits = "uniform:x"\narchs', "positive number"),
    ],
)
@pytest.mark.parametrize("smoke", [False, True])
def test_a_wrong_name_is_told_before_anything_runs(expand, old, new, told, smoke):
    with pytest.raises(UserError) as error:
        expand(GOOD.replace(old, new, 1), smoke=smoke)
    assert told in str(error.value)


@pytest.mark.parametrize(("name", "count"), [("quickstart", 57), ("lenet_mnist", 84)])
def test_the_shipped_benchmarks_expand_to_their_jobs(registry, name, count):
    found = jobs(load(name), registry)
    assert len(found) == len(set(ids(found))) == count
    assert all(job.benchmark == name for job in found)
    assert {job.method for job in found} >= {"dense", "random_mask"}, "ceiling and floor stand beside every comparison"
    assert len({job.seed for job in found}) >= 3
    assert len({(job.budget.epochs, job.budget.batch_size) for job in found}) == 1, "every method has the same budget"


def test_every_shipped_benchmark_loads(registry):
    assert {"quickstart", "lenet_mnist"} <= set(benchmarks.benchmark_files())
    for name in benchmarks.benchmark_files():
        assert jobs(load(name), registry)


def test_smoke_jobs_are_small_and_other_jobs(expand):
    smoke = expand(GOOD, smoke=True)
    assert not set(ids(smoke)) & set(ids(expand(GOOD)))
    assert all(job.smoke and job.budget.epochs == 1 for job in smoke)
    assert all(job.folder.startswith("smoke-") for job in smoke)


def test_a_smoke_selection_tries_every_cell_once(write, registry):
    chosen = load(write(GOOD + "edgepopup = {sparsities = [0.2, 0.3]}\n"))
    assert smoke_selection(chosen, keep_grid=True) == chosen
    found = jobs(smoke_selection(chosen, keep_grid=False), registry, smoke=True)
    assert [(job.method, job.sparsity, job.seed) for job in found] == [("gates", 0.5, 0), ("edgepopup", 0.5, 0)]


def test_a_benchmark_cannot_be_changed():
    found = load("quickstart")
    with pytest.raises(ValueError, match="frozen"):
        found.name = "other"
    assert isinstance(found, Benchmark)


def test_a_copied_job_has_the_id_of_what_it_has_become(make_job):
    job = make_job(seed=1)
    assert job.id != job.model_copy(update={"seed": 2}).id == make_job(seed=2).id
    assert job == make_job(seed=1), "an id that was asked for makes no difference"


@given(st.floats(0, 1, exclude_max=True))
def test_a_folder_names_its_sparsity_truly(make_job, sparsity):
    name = make_job(sparsity=sparsity).folder.split("-seed")[0].partition("-digits-s")[2]
    assert float(name) == sparsity
    assert len(name) <= len(f"{sparsity:g}") or float(f"{sparsity:g}") != sparsity


@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.5, 0.9375, 0.984375, 0.9999, 1e-5, None])
def test_a_folder_keeps_the_name_that_it_always_had(make_job, sparsity):
    job = make_job(sparsity=sparsity)
    shown = "own" if sparsity is None else f"{sparsity:g}"
    assert job.folder == f"edgepopup-lenet300-digits-s{shown}-seed0-{job.id}"


@pytest.mark.parametrize("part", ["method", "arch", "dataset"])
def test_folders_of_long_names_are_names_that_a_file_system_takes(make_job, tmp_path, part):
    first, second = (make_job(**{part: "long " * 60 + end}) for end in ("a", "b"))
    for job in (first, second):
        (tmp_path / f".partial-{'0' * 32}-{job.folder}").mkdir()
        assert job.folder.endswith(f"-s0.5-seed0-{job.id}")
    assert first.folder != second.folder


def test_a_benchmark_with_a_long_name_is_refused(write):
    with pytest.raises(UserError, match=r"'name'.*100 characters"):
        load(write('name = "' + "x" * 101 + '"' + GOOD))


def test_a_byte_order_mark_is_no_part_of_a_benchmark(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert load(str(path)).name == "mine"


@pytest.mark.parametrize("name", benchmarks.benchmark_files())
def test_a_benchmark_that_tunes_methods_tunes_its_references(name):
    """A method that had its trials beside a reference that had none is compared with the reference's defaults."""
    benchmark = load(name)
    chosen = benchmark.tune.methods or ["*"]
    references = {label for label, entry in benchmark.methods.items() if (entry.method or label) == "dense"}
    assert references == {label for label in references if any(fnmatch(label, one) for one in chosen)}
