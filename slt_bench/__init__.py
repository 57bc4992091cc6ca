"""slt_bench: the benchmark suite for strong lottery tickets.

A strong lottery ticket is a sparse subnetwork of a randomly initialised network that is accurate although no weight was
ever trained. Importing this package loads nothing heavy; the parts are:

- `slt_bench.network.frozen`: the frozen network, the interface that every method shares;
- `slt_bench.method`: the contract of a method, for those who write one;
- `slt_bench.tickets.ticket`: the ticket file;
- `slt_bench.jobs.benchmark`, `slt_bench.records`: jobs, and what they measured;
- `slt_bench.analysis`: DataFrames of records, and the statistics over them.
"""

__version__ = "0.1.0"
