"""Tries one of timm's models in a process of its own: built twice, searched for three steps, its ticket read back.

python tests/network/survey.py [MODEL...]      # a table; without models: the smallest of each of timm's modules
"""

import contextlib
import json
import multiprocessing
import os
import random
import sys
import tempfile
from pathlib import Path
from unittest.mock import patch

import numpy as np
import timm
import torch
from tickets import ticket_of
from torch.nn import functional

from slt_bench.network.frozen import FrozenNetwork
from slt_bench.network.inspection import inspect
from slt_bench.registry import load_registry
from slt_bench.tickets.ticket import read_ticket, write_ticket
from slt_bench.utils.errors import UserError

CLASSES, BATCH, STEPS, SIDES = 10, 4, 3, (32, 64)
SMALLEST = json.loads(Path(__file__).with_name("timm_smallest.json").read_text())  # by module


def models():
    """The smallest model of each module; of modules that are not in the list, the first by name."""
    known = {module: timm.list_models(module=module) for module in timm.list_modules()}
    return sorted(SMALLEST.get(module, names[0]) for module, names in known.items() if names)


def survey(name):
    """What became of `timm:name`, as a dictionary: `refused`, a reason, or what was measured."""
    arch = f"timm:{name}"
    reasons = []
    for side in SIDES:
        try:
            found = inspect(arch, (3, side, side), CLASSES)
        except UserError as error:
            reasons.append(str(error))
        else:
            return {"side": side, "share": found.unmasked_share} | _try(arch, (3, side, side))
    return {"refused": reasons[-1]}


def _build(arch, shape, seed):
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    random.seed(seed)
    return FrozenNetwork(arch, shape=shape, classes=CLASSES)


def _try(arch, shape):
    one, other = _build(arch, shape, 1), _build(arch, shape, 2)
    images = torch.randn(BATCH, *shape, generator=torch.Generator().manual_seed(0))
    one.eval(), other.eval()
    with torch.no_grad():
        logits = one(images, one.weights)
        same = one.weight_hash() == other.weight_hash() and torch.equal(logits, other(images, other.weights))
    found = {"n": one.n, "same": same, "varies": float(logits.std(0).max()), "unread": _unread(one, images, logits)}
    found["formats"] = _difference_of_formats(other, images)
    for method in ("edgepopup", "gates"):
        found[method] = _search(method, one, images)
    return found


def _unread(network, images, logits):
    """Whether the last row or column of the pixels can be changed without changing an output."""
    sides = {}
    for side, place in (("row", (..., -1, slice(None))), ("column", (..., -1))):
        changed = images.clone()
        changed[place] = 100 * torch.randn(changed[place].shape, generator=torch.Generator().manual_seed(3))
        with torch.no_grad():
            sides[side] = torch.equal(network(changed, network.weights), logits)
    return [side for side, unread in sides.items() if unread]


def _difference_of_formats(network, images):
    """How far gradients with channels last are from the contiguous ones, of their norm; None where they never are.

    Normalisation takes the statistics that it has: those of a few images would enlarge what rounding does.
    """
    if network.memory_format != torch.channels_last:
        return None
    gradients = []
    for memory_format in (torch.contiguous_format, torch.channels_last):
        network.memory_format = memory_format
        weights = network.weights.clone().requires_grad_()
        logits = network(images, weights)
        (logits / logits.detach().std()).square().sum().backward()
        gradients.append(weights.grad.double())
    return float((gradients[0] - gradients[1]).norm() / gradients[0].norm())


def _search(method, network, images):
    kind = load_registry().find(method)
    learner = kind(network, kind.settings_class(), 0.5)
    optimizer = learner.optimizer()
    network.train()
    finite = True
    for step in range(STEPS):
        learner.on_progress(step / STEPS)
        loss = functional.cross_entropy(network(images, learner.effective()), torch.arange(BATCH))
        optimizer.zero_grad()
        (loss + learner.penalty()).backward()
        finite = finite and all(bool(p.grad.isfinite().all()) for p in learner.parameters() if p.grad is not None)
        optimizer.step()
    mask = learner.mask()
    network.eval()
    with tempfile.TemporaryDirectory() as folder:
        ticket = ticket_of(network, mask)
        write_ticket(Path(folder, "ticket.slt"), ticket)
        rebuilt = read_ticket(Path(folder, "ticket.slt")).rebuild()
    with torch.no_grad():
        expected = network(images, network.effective(mask.float()))
        again = torch.equal(torch.nan_to_num(rebuilt(images)), torch.nan_to_num(expected))
    return {"finite": finite, "read_back": again}


def _worker(name, out):
    torch.set_num_threads(1)
    with contextlib.redirect_stdout(sys.stderr):
        out.send(survey(name))


def in_own_process(name, seconds=1800):
    """What `survey` finds, in a process of its own; {"crashed": why} where that ends without an answer."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["survey"])
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_worker, args=(name, there))
    with patch.dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)):  # for the server, which imports this file
        process.start()
    there.close()
    try:
        if not here.poll(seconds):
            return {"crashed": f"no answer after {seconds} s"}
        return here.recv()
    except EOFError:
        process.join()
        return {"crashed": f"exit code {process.exitcode}"}
    finally:
        process.kill()
        process.join()


if __name__ == "__main__":
    from survey import in_own_process  # what a child process can import

    for model in sys.argv[1:] or models():
        print(model, json.dumps(in_own_process(model)), flush=True)
