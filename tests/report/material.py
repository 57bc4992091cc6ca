"""What tests of reports draw: records that hold everything."""

from slt_bench.records import Record

PENDING = {"gates-<i>x": "running: attempt 1 & more", "a" * 120: "missing"}


def add_record(found, job, status, accuracy):
    """Put a record of a job among others."""
    sparsity = 0.0 if job.sparsity is None else job.sparsity
    checks = (
        {"shuffled_accuracy": 0.1, "redrawn_accuracy": 0.12, "inverted_accuracy": 0.09} if job.method != "dense" else {}
    )
    metrics = {
        "test_accuracy": accuracy,
        "validation_accuracy": accuracy,
        "relaxed_accuracy": min(1.0, accuracy + 0.01),
        "binarisation_gap": 0.01,
        "fractional": 0.05,
        "closed": max(0.0, sparsity - 0.05),
        "open": min(0.95, 1 - sparsity),
        "sparsity": sparsity,
    }
    found.records[job.id] = Record(
        id=job.id,
        job=job,
        status=status,
        method_version=1,
        purity="trained" if job.method == "dense" else "frozen",
        settings={},
        metrics=metrics | checks,
        layers=[
            {
                "name": f"{place}.weight",
                "shape": (4, 25),
                "density": (1 - sparsity) * (1 - place / 10),
                "dead_units": place,
            }
            for place in range(2)
        ],
        gate_histogram=[40, *[1] * 18, 42],
        seconds={"search": 3.0 + job.seed, "total": 4.0 + job.seed},
        peak_memory_mb=100.0,
        provenance={"hardware": "a processor", "threads": 1, "slt_bench": "0.1.0", "torch": "2.15.0"},
        curve=[{"epoch": float(epoch), "validation_accuracy": accuracy * epoch / 2} for epoch in (1, 2)],
    )
