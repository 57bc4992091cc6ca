"""Tables of records, as `analysis.frame` makes them, with accuracies that a test chooses."""

import pandas as pd

from slt_bench.analysis.frame import frame

NETWORK = {
    "arch": "lenet300",
    "dataset": "digits",
    "init": "signed_constant",
    "rescale": "density",
    "budget": "2 epochs",
    "epochs": 2,
    "labels": "true",
    "split": "test",
}


def table(curves, **changes):
    """Rows of records.

    Args:
        curves: By label: by sparsity: the accuracy of each seed, None where the seed diverged.
        changes: Other values of columns.
    """
    rows = [
        NETWORK
        | {
            "id": f"{label}-{sparsity}-{seed}",
            "label": label,
            "method": label,
            "method_version": 1,
            "purity": "frozen",
            "asked_sparsity": float("nan") if label == "dense" else sparsity,
            "sparsity": sparsity if accuracy is not None else float("nan"),
            "seed": seed,
            "status": "done" if accuracy is not None else "diverged",
            "learned": True,
            "images": 10_000,
            "accuracy": float("nan") if accuracy is None else accuracy,
            "relaxed_accuracy": float("nan") if accuracy is None else min(1.0, accuracy + 0.05),
        }
        | changes
        for label, curve in curves.items()
        for sparsity, accuracies in curve.items()
        for seed, accuracy in enumerate(accuracies)
    ]
    return pd.DataFrame(rows, columns=[*frame([]).columns])
