"""`profile`, as typed."""

import json
import re

import pytest
import torch


def test_as_typed(end, cwd):
    options = ["--archs", "lenet*", "--batch-size", "16", "--seconds", "0.1", "--threads", "1"]
    code, out, err = end("profile", *options, "--no-memory", "--json", "rows.json")
    assert code == 0, err
    assert "lenet300" in out
    assert "gates" in out
    assert "cpu, 1 threads, batches of 16, float32" in out
    assert "memory" not in err
    rows = json.loads((cwd / "rows.json").read_text(encoding="utf-8"))
    assert {row["method"] for row in rows} == {"dense", "gates", "edgepopup"}
    assert all({"ms", "ratio", "memory_ratio", "parts"} <= row.keys() for row in rows)


def test_the_tables_fit_into_120_columns(end, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    options = ["--archs", "lenet300", "--batch-size", "16", "--seconds", "0", "--threads", "1", "--no-memory"]
    _, out, _ = end("profile", *options)
    tables = [line for line in out.splitlines() if line.startswith(" ")]
    assert max(map(len, tables)) <= 120
    (heads,) = [line.split() for line in tables if "CPU" in line]
    assert heads[4:] == ["data", "gates", "forward", "backward", "update"]


def test_ratios_are_shown_for_each_number_of_threads(end, cwd, cores):
    cores(2)
    options = ["--archs", "lenet300", "--batch-size", "16", "--seconds", "0", "--threads", "2,1", "--no-memory"]
    code, out, err = end("profile", *options, "--json", "rows.json")
    assert code == 0, err
    rows = json.loads((cwd / "rows.json").read_text(encoding="utf-8"))
    assert [(row["threads"], row["method"]) for row in rows] == [
        (threads, method) for threads in (1, 2) for method in ("dense", "dense", "gates", "edgepopup")
    ]
    shown = [line.split()[1:] for line in out.splitlines() if re.match(r" +lenet300( +\S+){4} *$", line)]
    ratios = [[f"{row['ratio']:.2f}" for row in rows[place::4]] for place in range(4)]
    names = [["dense", "adam"], ["dense", "sgd"], ["gates", "adam"], ["edgepopup", "sgd"]]
    assert shown == [name + ratio for name, ratio in zip(names, ratios, strict=True)]
    assert "cpu, 2 threads, batches of 16" in out


def test_by_default_threads_double_up_to_all(end, cwd):
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    options = ["--archs", "mlp16_8", "--methods", "gates", "--batch-size", "4", "--seconds", "0", "--no-memory"]
    try:
        code, _, err = end("profile", *options, "--json", "rows.json")
    finally:
        torch.set_num_threads(before)
    assert code == 0, err
    rows = json.loads((cwd / "rows.json").read_text(encoding="utf-8"))
    assert [row["threads"] for row in rows] == [1, 1, 2, 2, 3, 3]


def test_a_benchmark_says_what_to_profile(end, cwd):
    (cwd / "small.toml").write_text(
        'archs = "lenet300"\nsparsities = [0.9]\n[budget]\nepochs = 1\nbatch_size = 8\n'
        '[methods]\nfast = { method = "gates", settings = { lr = 0.1 } }\ndense = {}\n'
    )
    options = ["--benchmark", "small.toml", "--seconds", "0", "--threads", "1", "--no-memory"]
    code, out, err = end("profile", *options)
    assert code == 0, err
    assert "batches of 8, float32" in out
    assert "gates" in out
    assert "edgepopup" not in out
    assert "batches of 16" in end("profile", *options, "--batch-size", "16")[1]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--methods", "snip"], "snip takes no gradient steps"),
        (["--methods", "gaets"], "Did you mean gates"),
        (["--archs", "lenet30"], "Did you mean lenet300"),
        (["--threads", "1,two"], "'two' is not a positive whole number"),
        (["--threads", "0"], "'0' is not a positive whole number"),
        (["--threads", ","], "',' is not a positive whole number"),
        (["--threads", "1,99999"], "--threads 99999 is more than this machine has cores"),
        (["--device", "banana"], "The device 'banana' cannot be used here: it is no device's name. Take auto"),
        (["--device", "cuda:99"], "The device 'cuda:99' cannot be used here: "),
    ],
)
def test_what_is_mistyped_is_told(refused, options, told):
    assert told in refused("profile", *options)
