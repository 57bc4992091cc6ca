"""`ticket`: look at ticket files, verify them, score them, and take their networks elsewhere."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from slt_bench.cli.options import DataRoot

if TYPE_CHECKING:
    from slt_bench.tickets.ticket import Ticket

app = typer.Typer(help="Look at tickets, verify them, score them, and export their networks.", no_args_is_help=True)

TicketPath = Annotated[Path, typer.Argument(help="A ticket.slt, or the folder of its job.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1.")]


@app.command("show")
def show(path: TicketPath) -> None:
    """Show what a ticket holds: its network, its sparsity layer by layer, where it comes from, and how large it is."""
    from slt_bench.tickets.evaluate import dead_units
    from slt_bench.tickets.mask_coding import bound, encode
    from slt_bench.tickets.ticket import read_ticket

    file = _file(path)
    ticket = read_ticket(file)
    network = ticket.rebuild().network
    job, content = ticket.provenance.get("job", {}), str(ticket.provenance.get("data_hash", ""))
    size, dense = file.stat().st_size, 4 * network.n
    code, least = len(encode(ticket.mask.numpy(), ticket.sizes)), bound(ticket.counts) / 8
    rows = {
        "architecture": f"{ticket.arch} for {'x'.join(map(str, ticket.shape))} images and {ticket.classes} classes",
        "weights": f"{ticket.init}, seed {ticket.seed}, rescale {ticket.rescale}; rebuilt, and their hash is right",
        "method": f"{job.get('method', '?')} (purity {ticket.purity})",
        "found on": f"{job.get('dataset', '?')}" + (f", content {content[:8]}" if content else ""),
        "N": f"{network.n:,} weights, {int(ticket.mask.sum()):,} kept",
        "sparsity": f"{ticket.sparsity:.4f}",
        "unmasked": network.inspection.about_unmasked(ticket.arch) or "nothing: the mask decides every weight",
        "mask": f"{code:,} bytes; the entropy of its layer densities is {least:,.0f}",
        "file": f"{size:,} bytes; the dense network in float32 has {dense:,}, {dense / size:.1f} times as many",
        "mask hash": ticket.mask_hash,
    }
    for name, value in rows.items():
        typer.echo(f"{name:<13} {value}")
    typer.echo("\nlayers" + " " * 28 + "shape            sparsity  units without a weight")
    parts = ticket.mask.split(network.sizes)
    for layer, part in zip(network.layers, parts, strict=True):
        shape, sparsity = "x".join(map(str, layer.shape)), 1 - float(part.double().mean())
        typer.echo(
            f"  {layer.name:<32}{shape:<16} {sparsity:>8.4f}  {dead_units(part, layer.shape)} of {layer.shape[0]}"
        )


@app.command("verify")
def verify(
    paths: Annotated[list[Path], typer.Argument(help="Tickets, or folders: every ticket below them.")],
    score: Annotated[
        bool, typer.Option("--score", help="Score them too, and compare with their records to the last digit.")
    ] = False,
    data_root: DataRoot = None,
    device: Device = "auto",
) -> None:
    """Read tickets, draw their weights anew, and compare with the records beside them. Exit code 1 where one is wrong.

    A score is repeated to the last digit on the same kind of processor, with the same number of threads.
    """
    from slt_bench.records import TICKET
    from slt_bench.tickets.verify import verify_ticket
    from slt_bench.utils.errors import UserError

    files = [file for path in paths for file in (sorted(path.rglob(TICKET)) if path.is_dir() else [path])]
    if not files:
        raise UserError(f"There is no {TICKET} in {', '.join(map(str, paths))}.")
    wrong = 0
    for file in files:
        try:
            found = verify_ticket(file, (_root(data_root), device) if score else None)
        except UserError as error:
            wrong += 1
            typer.echo(f"WRONG  {file}: {error}")
        else:
            typer.echo(f"right  {file}: {found}")
    if wrong:
        typer.echo(f"{wrong} of {len(files)} tickets are wrong.")
        raise typer.Exit(1)


@app.command("eval")
def eval_(
    path: TicketPath,
    dataset: Annotated[str, typer.Option(help="A data set [default: the one that the ticket was found on].")] = "",
    split: Annotated[Literal["test", "validation", "train"], typer.Option(help="Of its images.")] = "test",
    data_root: DataRoot = None,
    device: Device = "auto",
) -> None:
    """Score a ticket on a data set."""
    from slt_bench.tickets.ticket import read_ticket
    from slt_bench.tickets.verify import other_data, score_ticket

    ticket = read_ticket(_file(path))
    name = dataset or _dataset_of(ticket)
    right, images = score_ticket(ticket, name, split, _root(data_root), device)
    if told := other_data(ticket, name, _root(data_root)):
        typer.echo(told, err=True)
    typer.echo(f"{100 * right / images:.2f}% of the {images:,} {split} images of {name} ({right:,} right)")


@app.command("export")
def export(
    path: TicketPath,
    out: Annotated[Path, typer.Argument(help="Folder to write to.")],
    onnx: Annotated[bool, typer.Option(help="Write an ONNX file too; --no-onnx does not.")] = True,
) -> None:
    """Write the network for the world outside: Python source and a state dictionary that need no slt_bench; ONNX."""
    from slt_bench.tickets.export import ONNX, export_onnx, export_torch
    from slt_bench.tickets.ticket import read_ticket

    ticket = read_ticket(_file(path))
    for file in export_torch(ticket, out):
        typer.echo(f"{file}")
    if onnx:
        off = export_onnx(ticket, out / ONNX)
        typer.echo(f"{out / ONNX} (run and compared: outputs differ by {off:.1g} at most)")


def _file(path: Path) -> Path:
    from slt_bench.records import TICKET

    return path / TICKET if path.is_dir() else path


def _root(given: Path | None) -> Path:
    from slt_bench.data import default_root

    return given or default_root()


def _dataset_of(ticket: "Ticket") -> str:
    from slt_bench.utils.errors import UserError

    job = ticket.provenance.get("job", {})
    if not (isinstance(job, dict) and job.get("dataset")):
        raise UserError("The ticket does not tell what data set it was found on. Name one with --dataset.")
    return str(job["dataset"])
