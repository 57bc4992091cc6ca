"""The command line: one small file a verb. Nothing heavy loads before a verb needs it."""

import errno
import sys
from typing import Annotated

import typer

from slt_bench import __version__
from slt_bench.cli import (
    cancel,
    check,
    compare,
    data,
    merge,
    new_method,
    plan,
    profile,
    report,
    run,
    show,
    status,
    ticket,
    tune,
)
from slt_bench.cli import list as list_
from slt_bench.cli.usage import Verb
from slt_bench.utils.errors import UserError
from slt_bench.utils.printing import print_anything

UNUSABLE = (errno.ENAMETOOLONG, errno.EACCES, errno.ELOOP)  # what can be wrong with any path that somebody names

app = typer.Typer(
    help="Compare methods that find strong lottery tickets: sparse, accurate subnetworks of random networks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"slt_bench {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """What may stand before a verb."""


for verb, function in (
    ("list", list_.list_),
    ("plan", plan.plan),
    ("run", run.run),
    ("status", status.status),
    ("show", show.show),
    ("cancel", cancel.cancel),
    ("report", report.report),
    ("compare", compare.compare),
    ("merge", merge.merge),
    ("tune", tune.tune),
    ("check", check.check),
    ("profile", profile.profile),
    ("new-method", new_method.new_method),
):
    app.command(verb, cls=Verb)(function)
app.add_typer(data.app, name="data")
app.add_typer(ticket.app, name="ticket")


def main() -> None:
    """Run a command; an error of the user's is told in plain sentences, exit code 2 (3 where work is left)."""
    print_anything()
    try:
        app()
    except UserError as error:
        print(f"slt_bench: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:
        if error.errno not in UNUSABLE or error.filename is None:
            raise
        print(f"slt_bench: The path {error.filename} cannot be used: {error.strerror}.", file=sys.stderr)
        sys.exit(UserError.exit_code)
