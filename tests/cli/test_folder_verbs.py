"""Class folders of the user's own, as typed: their content is what counts, wherever they lie."""

import json
import re
import shutil

import pytest
from images import class_folders, picture, save

from slt_bench import records

FAST = ["--no-references", "--threads", "1", "--seeds", "0", "--sparsities", "0.5", "--methods",
        "edgepopup", "--archs", "lenet300", "--epochs", "4", "--batch-size", "8"]  # fmt: skip


@pytest.fixture
def root(cwd):
    return ["--data-root", str(cwd / "root")]


@pytest.fixture
def run(end, root):
    """Runs one job on class folders; what it said on stderr."""

    def run(path, name="x", *more):
        code, out, err = end(
            "run", "--no-report", *FAST, *root, "--datasets", f"folder:{path}@8", "--name", name, *more
        )
        assert code == 0, out + err
        return err

    return run


def found(cwd, name="x"):
    return list(records.read(cwd / "results" / name).records.values())


def test_mirrored_images_of_the_same_name_and_size_are_read(cwd, run, end, root):
    class_folders(cwd / "clean" / "ds", kind="bmp")
    class_folders(cwd / "mirrored" / "ds", kind="bmp", flip=True)
    run("clean/ds")
    (record,) = found(cwd)
    assert record.metrics["test_accuracy"] == 1
    folder = cwd / "results" / "x" / record.job.folder
    code, out, err = end("ticket", "eval", folder, "--dataset", "folder:mirrored/ds@8", *root)
    assert (code, out[:6]) == (0, "0.00% ")
    assert "other data" in err
    code, out, err = end("ticket", "eval", folder, *root)
    assert (code, out[:8], err) == (0, "100.00% ", "")


def test_changed_images_are_another_job_and_told(cwd, run, end, root):
    place = class_folders(cwd / "ds")
    run("ds")
    (first,) = found(cwd)
    assert "have changed" not in run("ds"), "nothing has"
    assert len(found(cwd)) == 1
    code, out, _ = end("ticket", "verify", "results", "--score", *root)
    assert code == 0
    assert "have changed" not in out
    shutil.rmtree(place / "train")
    class_folders(place, flip=True, test=0)
    plan = end("plan", *FAST, *root, "--datasets", "folder:ds@8", "--name", "x")
    assert "1 to run" in plan[1]
    assert "have changed" in " ".join(plan[1].split())
    assert f"content {first.data_hash[:8]}" in run("ds")
    assert len({record.id for record in found(cwd)}) == 2
    assert {record.metrics["test_accuracy"] for record in found(cwd)} == {0.0, 1.0}
    _, out, _ = end("status", "x")
    assert "2 done" in out
    assert "have changed" in out
    code, out, _ = end("ticket", "verify", cwd / "results" / "x" / first.job.folder, "--score", *root)
    assert code == 0, "the copy of its images is still there"
    assert "have changed" in out
    shutil.rmtree(cwd / "root")
    code, out, _ = end("ticket", "verify", cwd / "results" / "x" / first.job.folder, "--score", *root)
    assert code == 1
    assert "have changed" in out


def test_the_same_images_elsewhere_are_the_same_job(cwd, run):
    place = class_folders(cwd / "ds")
    run("ds")
    (before,) = found(cwd)
    place.rename(cwd / "moved")
    run("moved")
    (after,) = found(cwd)
    assert before == after
    assert before.job.folder.endswith(before.id)
    run("moved", "x", "--rerun", "all")
    (again,) = found(cwd)
    assert again.job.dataset.endswith("moved@8")
    assert again.mask_hash == before.mask_hash


def test_records_and_tickets_say_what_the_images_were(cwd, run, end):
    class_folders(cwd / "ds")
    run("ds")
    (record,) = found(cwd)
    assert re.fullmatch("[0-9a-f]{32}", record.data_hash)
    assert record.data_hash == record.job.data_hash
    folder = cwd / "results" / "x" / record.job.folder
    assert f"content {record.data_hash[:8]}" in end("ticket", "show", folder)[1]
    code, out, err = end("run", *FAST[:-4], "--datasets", "digits", "--epochs", "1", "--name", "known")
    assert code == 0, out + err
    (record,) = found(cwd, "known")
    assert len(record.data_hash) == 32
    assert record.job.data_hash == ""


def test_reports_and_comparisons_need_no_images_and_never_mix(cwd, run, end):
    place = class_folders(cwd / "ds")
    run("ds", "one")
    shutil.copytree(place, cwd / "two" / "ds")
    run("two/ds", "two")
    code, out, err = end("compare", "one", "two")
    assert code == 0, out + err
    assert "Only in" not in out
    shutil.rmtree(place / "train")
    class_folders(place, flip=True, test=0)
    run("ds", "one")
    (cwd / "all").mkdir()
    code, out, err = end("merge", "results/one", "results/two", "--into", "results/all")
    assert code == 0, out + err
    assert "2 added" in out
    shutil.rmtree(place)
    shutil.rmtree(cwd / "two")
    shutil.rmtree(cwd / "root")
    code, out, err = end("report", "all")
    assert code == 0, out + err
    (cwd / "own.toml").write_text(
        f'archs = "lenet300"\ndatasets = ["folder:{place}@8"]\nsparsities = [0.5]\nseeds = [0]\n'
        "budget = { epochs = 4, batch_size = 8 }\nmethods.edgepopup = {}\n"
    )
    (cwd / "results" / "one").rename(cwd / "results" / "own")
    code, out, err = end("report", "own.toml")
    assert code == 0, out + err
    page = (cwd / "reports" / "own" / "index.html").read_text(encoding="utf-8")
    contents = {record.data_hash[:8] for record in found(cwd, "own")}
    assert len(contents) == 2
    assert all(f"folder:ds@8#{content}" in page for content in contents)


def test_what_cannot_be_is_refused_before_anything_is_written(cwd, end, root):
    class_folders(cwd / "tiny", train=2, test=1)
    class_folders(cwd / "link")
    (cwd / "link" / "train" / "a" / "gone.png").symlink_to("/nowhere.png")
    for place, told in (("tiny", "at least 5"), ("link", "gone.png")):
        code, out, err = end("run", "--no-report", *FAST, *root, "--datasets", f"folder:{place}@8")
        assert (code, out) == (2, "")
        assert told in err
        assert "Traceback" not in err
    assert not (cwd / "results").exists()


def test_a_missing_part_of_the_decoded_images_is_mended_before_the_search(cwd, run):
    class_folders(cwd / "ds")
    run("ds")
    for file in (cwd / "root" / "folders").glob("*/test-labels.npy"):
        file.unlink()
    assert "damaged" in run("ds", "again")
    assert found(cwd, "again")[0].metrics == found(cwd)[0].metrics


def test_files_left_out_are_told(cwd, run, end, root):
    place = class_folders(cwd / "ds")
    (place / "train" / "a" / "notes.txt").touch()
    (place / "train" / "a" / "._0.png").touch()
    assert "1 file of" in run("ds")
    code, out, _ = end("data", "get", "folder:ds@8", *root)
    assert code == 0
    assert "train/a/notes.txt" in out


def test_a_path_may_have_commas(cwd, end, root):
    class_folders(cwd / "a,b, c")
    class_folders(cwd / "a")
    code, out, err = end("data", "get", "folder:a,b, c@8,digits,folder:a@8", *root)
    assert code == 0, err
    assert [line.partition(": ")[0] for line in out.splitlines() if "decoded in" in line] == [
        f"folder:{cwd}/a,b, c@8",
        f"folder:{cwd}/a@8",
    ]
    code, out, err = end("plan", *FAST, *root, "--datasets", "folder:a,b, c@8")
    assert code == 0, err
    assert "1 to run" in out
    code, _, err = end("plan", *FAST, *root, "--datasets", "folder:a@8,mnits")
    assert code == 2
    assert "Did you mean mnist" in err


def test_verify_reads_class_folders(cwd, end, root):
    class_folders(cwd / "ds")
    assert "not decoded yet" in end("data", "verify", "folder:ds@8", *root)[1]
    assert end("data", "get", "folder:ds@8", *root)[0] == 0
    code, out, _ = end("data", "verify", "folder:ds@8,digits", *root)
    assert code == 0
    assert "whole" in out
    assert "scikit-learn" in out
    (file,) = (cwd / "root" / "folders").glob("*/train-images.npy")
    with file.open("r+b") as content:
        content.seek(-1, 2)
        content.write(b"\x7f")
    code, out, err = end("data", "verify", "folder:ds@8", *root)
    assert code == 2
    assert file.parent.name in err


def test_the_same_images_twice_in_one_benchmark_are_refused(cwd, end, root):
    place = class_folders(cwd / "ds")
    shutil.copytree(place, cwd / "copy")
    code, _, err = end("plan", *FAST, *root, "--datasets", "folder:ds@8,folder:copy@8")
    assert code == 2
    assert "same images" in err


def test_tickets_and_records_of_an_older_suite_still_read(cwd, run, end, root):
    """They have no fingerprint, and their job's id is that of its path."""
    class_folders(cwd / "ds")
    run("ds")
    (new,) = found(cwd)
    folder = cwd / "results" / "x" / new.job.folder
    old = json.loads(new.model_dump_json())
    del old["data_hash"], old["job"]["data_hash"]
    old["id"] = new.job.model_copy(update={"data_hash": ""}).id
    old = records.Record.model_validate_json(json.dumps(old))
    assert old.id != new.id
    assert old.job.folder != new.job.folder
    shutil.rmtree(folder)
    (cwd / "results" / "x" / old.job.folder).mkdir()
    records.write(cwd / "results" / "x" / old.job.folder, old)
    told = run("ds")
    assert "content unknown" in told
    assert len(found(cwd)) == 2
    save(cwd / "ds" / "train" / "a" / "0.png", picture(1))
    assert "2 records" in run("ds")
