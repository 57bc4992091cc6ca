"""Networks that leave the suite: they run without it, and give the same outputs."""

import ast
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file
from tickets import make_ticket

from slt_bench.tickets import export
from slt_bench.tickets.export import AGREEMENT, ONNX, SOURCE, STATE, export_onnx, export_torch, plain
from slt_bench.utils.errors import UserError

SMALL, CIFAR = (3, 8, 8), (3, 32, 32)
FAMILIES = {
    "lenet300": (1, 8, 8),
    "conv4": SMALL,
    "mlp30_leaky": SMALL,
    "resnet20": SMALL,
    "wrn10_1": SMALL,
    "resnet18": CIFAR,
    "vit_tiny": CIFAR,
    "swin_t": CIFAR,
    "timm:convnext_atto": CIFAR,
}
ELSEWHERE = """
import importlib.util, pathlib, sys
sys.modules["slt_bench"] = None  # any import of it fails
import torch
from safetensors.torch import load_file, save_file
torch.set_num_threads(1)
for folder in map(pathlib.Path, sys.argv[1:]):
    spec = importlib.util.spec_from_file_location("network", folder / "network.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network, images = module.load(), load_file(folder / "images")["images"]
    with torch.no_grad():
        first, last = network(images), network(images.contiguous(memory_format=torch.channels_last))
    save_file({"first": first, "last": last}, folder / "logits")
"""


def images_for(shape, count=5):
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(1))


def test_every_family_runs_without_the_suite_bit_for_bit(tmp_path):
    expected = {}
    for arch, shape in FAMILIES.items():
        folder = tmp_path / arch.replace(":", "-")
        ticket = make_ticket(arch, shape)
        assert [path.name for path in export_torch(ticket, folder)] == [SOURCE, STATE]
        save_file({"images": images_for(shape)}, folder / "images")
        with torch.no_grad():
            subnetwork = ticket.rebuild()
            expected[folder] = subnetwork.network.memory_format, subnetwork(images_for(shape))
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, *map(str, expected)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for folder, (memory_format, logits) in expected.items():
        found = load_file(folder / "logits")
        assert torch.equal(found["last" if memory_format == torch.channels_last else "first"], logits), folder.name
        for channels in ("first", "last"):
            torch.testing.assert_close(found[channels], logits, rtol=1e-4, atol=1e-4)
        assert logits.abs().max() > 1e-3


LARGER = ("resnet18", "vit_tiny", "swin_t", "timm:convnext_atto")


@pytest.mark.parametrize(
    "arch", ["lenet300", "conv4", "resnet20", "wrn10_1", *(pytest.param(n, marks=pytest.mark.slow) for n in LARGER)]
)
def test_an_onnx_file_agrees(tmp_path, arch):
    check_onnx(tmp_path, arch)


def test_an_onnx_file_has_the_rescale_of_the_authors(tmp_path):
    check_onnx(tmp_path, "lenet300", rescale="authors:0.8")


def check_onnx(folder, arch, **changes):
    """Run it here, on batches of several sizes, apart from the check that the export makes itself."""
    runtime = pytest.importorskip("onnxruntime", reason="no onnxruntime")
    shape = FAMILIES[arch]
    ticket = make_ticket(arch, shape, **changes)
    off = export_onnx(ticket, folder / ONNX)
    assert off <= AGREEMENT
    session = runtime.InferenceSession(str(folder / ONNX), providers=["CPUExecutionProvider"])
    network = ticket.rebuild()
    for count in (1, 7):
        images = images_for(shape, count)
        (found,) = session.run(["logits"], {"images": images.numpy()})
        with torch.no_grad():
            logits = network(images)
        assert found.shape == (count, 10)
        assert torch.allclose(torch.from_numpy(found), logits, atol=1e-4, rtol=1e-4)
    assert [path.name for path in folder.iterdir()] == [ONNX]


def test_an_onnx_file_that_does_not_agree_is_not_kept(tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime", reason="no onnxruntime")
    monkeypatch.setattr(export, "AGREEMENT", -1.0)
    with pytest.raises(UserError, match="it was not kept"):
        export_onnx(make_ticket("lenet300", (1, 8, 8)), tmp_path / ONNX)
    assert list(tmp_path.iterdir()) == []


def test_onnx_without_its_packages_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"pip install 'slt_bench\[onnx\]'"):
        export_onnx(make_ticket("lenet300", (1, 8, 8)), tmp_path / ONNX)


def test_the_plain_module_is_sparse_and_its_own():
    ticket = make_ticket("lenet300", (1, 8, 8), density=0.1)
    subnetwork = ticket.rebuild()
    module = plain(subnetwork)
    weights = torch.cat([parameter.detach().flatten() for parameter in module.parameters()])
    assert torch.equal(weights != 0, ticket.mask)
    with torch.no_grad():
        next(module.parameters()).zero_()
    assert subnetwork.effective.any()
    assert torch.equal(ticket.rebuild().effective, subnetwork.effective)


def test_what_is_exported_is_rescaled_as_the_ticket_says(tmp_path):
    frozen = make_ticket("lenet300", (1, 8, 8)).frozen_network(2)
    kept = make_ticket("lenet300", (1, 8, 8)).mask
    for rescale, factor, words in (
        ("none", 1.0, "as they were drawn"),
        ("authors:0.8", 0.8**-0.5, "divided by the root of 0.8, the asked sparsity"),
    ):
        folder = tmp_path / rescale.replace(":", "")
        ticket = make_ticket("lenet300", (1, 8, 8), rescale=rescale)
        export_torch(ticket, folder)
        found = torch.cat([part.flatten() for part in load_file(folder / STATE).values()])
        assert torch.allclose(found, frozen.weights * kept * factor, rtol=1e-6)
        assert f"each layer {words}; those" in (folder / SOURCE).read_text()


def test_trained_weights_are_exported_too(tmp_path):
    n = 64 * 300 + 300 * 100 + 1000
    weights = torch.randn(n, generator=torch.Generator().manual_seed(3))
    ticket = make_ticket("lenet300", (1, 8, 8), density=1.1, purity="trained", weights=weights)
    export_torch(ticket, tmp_path)
    assert torch.equal(torch.cat([part.flatten() for part in load_file(tmp_path / STATE).values()]), weights)


HOSTILE = '"""\nraise SystemExit("injected")\n"""\\'


def test_nothing_in_a_ticket_becomes_code(tmp_path):
    job = {"method": HOSTILE, "dataset": HOSTILE}
    export_torch(make_ticket("lenet300", (1, 8, 8), provenance={"job": job}), tmp_path)
    tree = ast.parse((tmp_path / SOURCE).read_text())
    kinds = {type(node) for node in tree.body}
    assert kinds == {ast.Expr, ast.ImportFrom, ast.Assign, ast.FunctionDef}
    assert sum(isinstance(node, ast.Expr) for node in tree.body) == 1, "the docstring"
    assert ast.get_docstring(tree).count("injected") == 1


def test_the_source_tells_how_images_were_normalised(tmp_path):
    export_torch(make_ticket("conv2", CIFAR, provenance={"job": {"dataset": "cifar10", "method": "gates"}}), tmp_path)
    text = (tmp_path / SOURCE).read_text()
    assert "mean 0.4914, 0.4822, 0.4465 and std 0.247, 0.2435, 0.2616" in text
    assert "Found by gates (purity frozen)" in text
    assert "import slt_bench" not in text
