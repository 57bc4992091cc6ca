"""Tickets proved right: read, rebuilt, held against the record beside them, and scored again."""

from pathlib import Path
from typing import Literal

import torch

from slt_bench.data.catalogue import folder_exists, is_folder, known_hash
from slt_bench.data.content import data_hash
from slt_bench.data.dataset import Split
from slt_bench.data.dataset import load as load_data
from slt_bench.data.decoded import copy_folder
from slt_bench.records import RECORD, Record, read_one
from slt_bench.tickets.evaluate import accuracy
from slt_bench.tickets.ticket import Ticket, read_ticket
from slt_bench.utils.device import check_device, pick_device
from slt_bench.utils.errors import UserError

SplitName = Literal["test", "validation", "train"]


def verify_ticket(file: Path, scoring: tuple[Path, str] | None = None) -> str:
    """Read a ticket, draw its weights anew, and compare it with the record in its folder, if there is one.

    Args:
        file: The ticket.
        scoring: The data root and the device to score it again on its record's test split; None does not.

    Returns:
        What was found, in words.

    Raises:
        UserError: Something is wrong, or the ticket cannot be scored.
    """
    ticket = read_ticket(file)
    ticket.rebuild()
    found = f"{ticket.arch}, sparsity {ticket.sparsity:.4f}, purity {ticket.purity}"
    if not (file.parent / RECORD).is_file():
        if scoring:
            raise UserError("there is no record beside it that tells what it should score; `ticket eval` scores it")
        return f"{found}; no record beside it"
    record = read_one(file.parent)
    _compare(ticket, record)
    if not scoring:
        return f"{found}; as its record says"
    right, images = score_ticket(ticket, record.job.dataset, "test", *scoring, record.job.data_hash)
    told = record.metrics.get("test_accuracy")
    if right / images != told:
        raise UserError(f"it scores {right / images:.6f} on the test split, and its record says {told}")
    where = _changed(record, scoring[0])
    return f"{found}; as its record says, and {100 * right / images:.2f}% again{where}"


def _changed(record: Record, root: Path) -> str:
    """Say that the images of class folders are others now, where a ticket was scored on a decoded copy."""
    name, content = record.job.dataset, record.job.data_hash
    if not content or not folder_exists(name) or data_hash(name, root) == content:
        return ""
    return f", on the copy {copy_folder(name, root, content)} of its images; those of {name} have changed since"


def other_data(ticket: Ticket, dataset: str, root: Path) -> str:
    """Say that a data set is not what the ticket was found on; empty where it is, or the ticket does not tell.

    Raises:
        UserError: There are no such class folders.
    """
    job = ticket.provenance.get("job")
    name = str(job.get("dataset", "")) if isinstance(job, dict) else ""
    own = str(ticket.provenance.get("data_hash") or known_hash(name))
    here = data_hash(dataset, root) if is_folder(dataset) else known_hash(dataset)
    if not own or own == here:
        return ""
    return f"These are other data than the ticket was found on: content {here[:8]}, and not {own[:8]} of {name or '?'}."


def score_ticket(
    ticket: Ticket, dataset: str, split: SplitName, root: Path, device: str, content: str = ""
) -> tuple[int, int]:
    """How many images of a data set's split a ticket gets right, and how many there are.

    Args:
        ticket: Whose network.
        dataset: A name of a data set, whose images have the ticket's shape and classes.
        split: Which of its splits.
        root: The data root.
        device: As typed: auto, cpu, cuda, ...
        content: The fingerprint that class folders must have; empty takes what lies there.

    Raises:
        UserError: The device cannot be used; or the data is missing, or of another shape.
    """
    check_device(device)
    target = torch.device(pick_device(device))
    data = load_data(dataset, root, str(target), content)
    if (data.info.shape, data.info.classes) != (ticket.shape, ticket.classes):
        ours, theirs = (
            f"{'x'.join(map(str, shape))} images of {classes} classes"
            for shape, classes in ((ticket.shape, ticket.classes), (data.info.shape, data.info.classes))
        )
        raise UserError(f"The ticket is for {ours}; {dataset} has {theirs}.")
    images: Split = getattr(data, split)
    return round(accuracy(ticket.rebuild(target), images, data.info) * len(images)), len(images)


def _compare(ticket: Ticket, record: Record) -> None:
    """Raise where a record tells of another ticket."""
    pairs = {
        "mask": (ticket.mask_hash, record.mask_hash),
        "data": (ticket.provenance.get("data_hash") or record.data_hash, record.data_hash),
        "weights": (ticket.weight_hash, record.weight_hash),
        "purity": (ticket.purity, record.purity),
        "sparsity": (ticket.sparsity, record.metrics.get("sparsity")),
        "layer densities": (
            [kept / n for n, kept in ticket.counts],
            [layer.density for layer in record.layers],
        ),
    }
    for name, (own, told) in pairs.items():
        if own != told:
            raise UserError(f"its {name} and that of the record beside it are not the same")
