"""What the command line says to options and arguments that it cannot take."""

from typing import Any

import typer
from typer.core import TyperCommand

USAGE_ERROR: Any = typer.BadParameter.__mro__[1]  # typer brings click's, or its own copy of it
EXTRA = "Got unexpected extra argument"


class Verb(TyperCommand):
    """A command whose errors of usage say what would be right."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line.

        Raises:
            UsageError: It cannot be read.
        """
        try:
            return super().parse_args(ctx, args)
        except USAGE_ERROR as error:
            error.message = error.message.replace("Value error, ", "")
            if error.message.startswith(EXTRA):
                named = any(parameter.name == "benchmark" for parameter in self.params)
                error.message = (
                    f"{error.message}. The items of a list have commas and no blanks between them, as gates,edgepopup."
                    + " A benchmark is named by --benchmark NAME." * named
                )
            raise
