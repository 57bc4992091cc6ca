"""`profile`: what a step of each method costs beside a step of dense training."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slt_bench.cli.options import Plugins, Precision, use_plugins
from slt_bench.utils.errors import UserError
from slt_bench.utils.import_torch import OPTIMISERS, load_torch

if TYPE_CHECKING:
    from rich.table import Table

    from slt_bench.profiling.profile import Row


USUAL = ("gates,edgepopup", "lenet300")


def profile(
    benchmark: Annotated[str, typer.Option(help="A benchmark whose options stand where none are given.")] = "",
    methods: Annotated[str, typer.Option(help="Comma list or globs [default: gates,edgepopup].")] = "",
    archs: Annotated[str, typer.Option(help="Comma list or globs [default: lenet300].")] = "",
    batch_size: Annotated[int | None, typer.Option(help="[default: 128]", min=1)] = None,
    precision: Precision = None,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Put the networks, dense ones too, through torch.compile.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1.")] = "auto",
    threads: Annotated[
        str, typer.Option(help="Numbers of CPU threads, as in 1,2,8 [default: 1,2,4,... up to all].")
    ] = "",
    seconds: Annotated[
        float, typer.Option(help="How long steps are timed, for each architecture and number of threads.", min=0)
    ] = 10.0,
    memory: Annotated[bool, typer.Option(help="Measure peak memory too; on a CPU in a process a row.")] = True,
    json: Annotated[Path | None, typer.Option(help="Write the rows into this file too.")] = None,
    plugins: Plugins = None,
) -> None:
    """Time training steps of methods and of dense training, one after the other, again and again, on images of noise.

    Ratios are to the dense step with the same optimiser in the same round, so that a busy machine slows down both.
    Figures other than ratios are shown for the largest number of threads; `--json` has those of all.

    **Examples**

    `slt_bench profile --methods gates,edgepopup --archs lenet300,conv6,resnet18`

    `slt_bench profile --archs wrn28_10 --precision bf16 --batch-size 256 --json wrn.json`

    `slt_bench profile --benchmark speed --threads 1,2`
    """
    load_torch(OPTIMISERS)
    import torch

    from slt_bench.data import find
    from slt_bench.jobs.benchmark import Budget
    from slt_bench.jobs.benchmark import load as load_benchmark
    from slt_bench.jobs.parsing import choose
    from slt_bench.network import architectures as known
    from slt_bench.network.frozen import check_batch_size
    from slt_bench.profiling.profile import profile as rows_of
    from slt_bench.profiling.subject import ProfileOptions
    from slt_bench.registry import load_registry
    from slt_bench.utils.device import check_device, pick_device
    from slt_bench.utils.machine import keep_freed_memory

    check_device(device)
    use_plugins(plugins)
    registry = load_registry()
    written = load_benchmark(benchmark) if benchmark else None
    usual = Budget() if written is None else written.budget
    if written:
        methods = methods or ",".join(entry.method or label for label, entry in written.methods.items())
        archs = archs or ",".join(written.archs)
    names = choose("method", methods or USUAL[0], registry.methods, lambda name: bool(registry.find(name)))
    wanted = choose("architecture", archs or USUAL[1], known.ARCHS, lambda name: bool(known.find(name)))
    target = pick_device(device)
    counts = _thread_counts(threads, torch.get_num_threads(), target)
    keep_freed_memory()
    for arch in wanted:
        info = find(known.find(arch).dataset)
        check_batch_size(arch, info.shape, info.classes, batch_size or usual.batch_size)
    wish = ProfileOptions(batch_size or usual.batch_size, precision or usual.precision, compiled, target)
    rows: list[Row] = []
    tell = partial(typer.echo, err=True)
    for row in rows_of(names, wanted, wish, seconds, threads=counts, memory=memory, tell=tell):
        rows.append(row)
        _keep(rows, json)
    _show(rows)


def _thread_counts(text: str, most: int, device: str) -> list[int]:
    """Return the numbers of CPU threads that a comma list names, ascending.

    Args:
        text: The comma list; empty for 1, 2, 4, ... and `most`, or on CUDA, which needs few, for `most` only.
        most: How many threads torch uses by itself.
        device: Where steps are taken.

    Raises:
        UserError: An item is not a positive number, or more than this machine has cores.
    """
    from slt_bench.jobs.parsing import split_list
    from slt_bench.utils.cores import check_threads

    if not text:
        powers = [] if device.startswith("cuda") else [2**power for power in range(most.bit_length())]
        return sorted({*powers, most})
    items = split_list(text)
    for item in items or [text]:
        if not item.isdecimal() or not int(item):
            raise UserError(f"--threads '{text}': '{item}' is not a positive whole number. Give numbers as in 1,2.")
        check_threads(int(item))
    return sorted({int(item) for item in items})


def _keep(rows: "list[Row]", file: Path | None) -> None:
    import json

    from slt_bench.utils.files import write_text

    if file:
        write_text(file, json.dumps([row.plain() for row in rows], indent=1) + "\n")


def _show(rows: "list[Row]") -> None:
    from rich.console import Console

    from slt_bench.cli.screen import WIDTH, screen
    from slt_bench.profiling.timing import RUN

    console = Console(width=max(screen().width, WIDTH))  # at least, also on a narrow terminal: no row is folded
    counts = sorted({row.threads for row in rows})
    if len(counts) > 1:
        console.print(_ratios(rows, counts))
        rows = [row for row in rows if row.threads == counts[-1]]
    console.print(_times(rows))
    console.print(_parts(rows))
    first = rows[0]
    typer.echo(
        f"Medians (quartiles) of {min(row.rounds for row in rows)} rounds or more, {RUN} steps of each in a round; "
        f"{first.device}, {first.threads} threads, batches of {first.batch_size}, {first.precision}"
        f"{', compiled' if first.compiled else ''}."
    )
    typer.echo("In ms: CPU, of all threads; the parts of a step, from data to update.")


def _times(rows: "list[Row]") -> "Table":
    """Beside dense training: time and memory."""
    table = _table("ms a step", "of dense", "images/s", "MiB", "of dense")
    for row in rows:
        table.add_row(
            *_names(row),
            f"{_short(row.ms)} ({_short(row.ms_low)} to {_short(row.ms_high)})",
            f"{row.ratio:.2f} ({row.ratio_low:.2f} to {row.ratio_high:.2f})",
            f"{row.images_per_second:,.0f}",
            "" if row.memory_mb is None else f"{row.memory_mb:,.0f}",
            "" if row.memory_ratio is None else f"{row.memory_ratio:.2f}",
        )
    return table


def _ratios(rows: "list[Row]", counts: list[int]) -> "Table":
    """How many dense steps a step costs, for each number of threads."""
    from slt_bench.utils.text import pluralize

    table = _table(*(pluralize(count, "thread") for count in counts))
    found = {(*_names(row), row.threads): f"{row.ratio:.2f}" for row in rows}
    for names in dict.fromkeys(map(_names, rows)):
        table.add_row(*names, *(found[(*names, count)] for count in counts))
    table.title, table.title_justify = "Step of a method / dense step", "left"
    return table


def _parts(rows: "list[Row]") -> "Table":
    """Where the time goes, in ms."""
    from slt_bench.profiling.subject import PARTS

    table = _table("CPU", *PARTS)
    for row in rows:
        table.add_row(*_names(row), _short(row.cpu_ms), *(_short(row.parts[part]) for part in PARTS))
    return table


def _table(*numbers: str) -> "Table":
    from rich import box
    from rich.table import Column, Table

    names = (Column(name, no_wrap=True) for name in ("arch", "method", "optimiser"))
    return Table(*names, *(Column(name, justify="right") for name in numbers), box=box.SIMPLE_HEAD)


def _names(row: "Row") -> tuple[str, str, str]:
    return row.arch, row.method, row.optimizer


def _short(number: float) -> str:
    """Three digits, or all before the point."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
