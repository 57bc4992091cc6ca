"""`new-method`: a skeleton of a method that works, to be changed into one's own."""

import keyword
from pathlib import Path
from typing import Annotated

import typer


def new_method(
    name: Annotated[str, typer.Argument(help="As typed on the command line: letters, digits and underscores.")],
    folder: Annotated[Path, typer.Option(help="Where to write it [default: this folder].")] = Path(),
) -> None:
    """Write NAME.py, a method that learns and passes `check`, to be changed into one's own.

    **Example**

    `slt_bench new-method my_method --folder my_methods`
    """
    from slt_bench.utils.errors import UserError
    from slt_bench.utils.files import make_folder, write_text

    text, path = _skeleton(name), folder / f"{name}.py"
    if path.exists():
        raise UserError(f"{path} is there already, and is left as it is.")
    make_folder(folder)
    write_text(path, text)
    typer.echo(f"{path}\n\nTry it:")
    typer.echo(f"  python -m slt_bench check {path}")
    typer.echo(f"  python -m slt_bench run --plugins {folder} --methods {name},edgepopup --archs lenet300")


def _skeleton(name: str) -> str:
    """The text of a method of that name.

    Raises:
        UserError: It cannot be one, or is taken.
    """
    from slt_bench.registry import load_registry
    from slt_bench.utils.errors import UserError

    if not (name.isidentifier() and name.isascii()) or name.startswith("_") or keyword.iskeyword(name):
        raise UserError(f"'{name}' cannot be a method's name; letters, digits and underscores can, as in my_method.")
    if name in load_registry().methods:
        raise UserError(f"There is a method '{name}' already: {load_registry().sources[name]}.")
    text = (Path(__file__).with_name("skeleton.py.txt")).read_text(encoding="utf-8")
    words = {"TITLE": name.replace("_", " ").capitalize(), "NAME": name, "CLASS": name.title().replace("_", "")}
    for word, value in words.items():
        text = text.replace(word, value)
    return text
