"""`ticket`: look at ticket files."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Look at ticket files.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep `show` a subcommand although it is the only one."""


@app.command("show")
def show(path: Annotated[Path, typer.Argument(help="A ticket.slt, or the folder of its job.")]) -> None:
    """Show what a ticket holds: its network, its sparsity layer by layer, where it comes from, and how large it is."""
    from slt_bench.frozen import FrozenNetwork
    from slt_bench.records import TICKET
    from slt_bench.ticket import read_ticket

    file = path / TICKET if path.is_dir() else path
    ticket = read_ticket(file)
    subnetwork = ticket.rebuild()
    network: FrozenNetwork = subnetwork.network
    job = ticket.provenance.get("job", {})
    dense = 4 * network.n
    rows = {
        "architecture": f"{ticket.arch} for {'x'.join(map(str, ticket.shape))} images and {ticket.classes} classes",
        "weights": f"{ticket.init}, seed {ticket.seed}, rescale {ticket.rescale}; rebuilt, and their hash is right",
        "method": f"{job.get('method', '?')} (purity {ticket.purity})",
        "found on": f"{job.get('dataset', '?')}",
        "N": f"{network.n:,} weights, {int(ticket.mask.sum()):,} kept",
        "sparsity": f"{ticket.sparsity:.4f}",
        "size": f"{file.stat().st_size:,} bytes; the dense network in float32 has {dense:,}",
        "mask hash": ticket.mask_hash,
    }
    for name, value in rows.items():
        typer.echo(f"{name:<13} {value}")
    for layer, part in zip(network.layers, ticket.mask.split(network.sizes), strict=True):
        sparsity = 1 - float(part.double().mean())
        typer.echo(f"  {layer.name:<32} {'x'.join(map(str, layer.shape)):<16} sparsity {sparsity:.4f}")
