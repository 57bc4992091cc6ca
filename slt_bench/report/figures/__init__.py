"""Figures of a report, a file a kind. Each takes DataFrames of one network and gives a matplotlib figure.

They are drawn within `style.style()`, on canvases of their own: no window system, and no backend that a user or a
notebook has chosen, has a part in them.
"""

import os
from types import ModuleType

from slt_bench.utils.errors import UserError

BACKEND = "MPLBACKEND"


def _import_matplotlib() -> ModuleType:
    """Import matplotlib as if no backend were asked for: one that is not installed here would stop the import.

    Raises:
        UserError: A file of settings keeps matplotlib from loading.
    """
    asked = os.environ.pop(BACKEND, None)
    try:
        import matplotlib as mpl  # noqa: PLC0415 - the variable must be gone before
    except ImportError:
        raise
    except Exception as error:  # what a broken file of settings raises
        raise UserError(
            f"Figures cannot be drawn, since matplotlib cannot read its settings: {error}. Mend or remove the file "
            "'matplotlibrc'; it is in this folder, in the one that MPLCONFIGDIR names, or in ~/.config/matplotlib."
        ) from error
    finally:
        if asked is not None:
            os.environ[BACKEND] = asked
    return mpl


matplotlib = _import_matplotlib()
