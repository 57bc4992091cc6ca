"""Which of the records a report is drawn from, where it is not all."""

from collections.abc import Sequence
from dataclasses import dataclass

from slt_bench.jobs.benchmark import REFERENCES, Job
from slt_bench.jobs.paper_claims import PaperClaim
from slt_bench.jobs.parsing import choose
from slt_bench.records import LoadedRecords

Network = tuple[str, str, str, str]  # architecture, data set, init, rescaling


@dataclass(frozen=True)
class RecordFilter:
    """What a report is to show.

    Attributes:
        labels, archs, datasets, inits: Those that it shows; None: all.
        left_out: Labels that it does not show.
        networks: Where some label that it shows has a job; dense training and random masks are shown there, too.
    """

    labels: frozenset[str] | None = None
    archs: frozenset[str] | None = None
    datasets: frozenset[str] | None = None
    inits: frozenset[str] | None = None
    left_out: frozenset[str] = frozenset()
    networks: frozenset[Network] = frozenset()

    @classmethod
    def choose(
        cls, jobs: Sequence[Job], *, methods: str = "", archs: str = "", datasets: str = "", inits: str = ""
    ) -> "RecordFilter":
        """What comma lists of names and globs stand for, each empty where nothing is left out.

        Args:
            jobs: All that there are to choose from.
            methods: Labels.
            archs: Architectures.
            datasets: Data sets.
            inits: Distributions of the weights.

        Raises:
            UserError: No job has a name, or none matches a glob.
        """
        labels = _chosen("label", methods, [job.label for job in jobs])
        return cls(
            labels,
            _chosen("architecture", archs, [job.arch for job in jobs]),
            _chosen("data set", datasets, [job.data_name for job in jobs]),
            _chosen("init", inits, [job.init for job in jobs]),
            frozenset(job.label for job in jobs if labels and job.label not in labels),
            frozenset(_network(job) for job in jobs if labels and job.label in labels),
        )

    def has(self, job: Job) -> bool:
        """Whether the job's record is shown."""
        reference = job.method in REFERENCES and _network(job) in self.networks
        return (
            (self.labels is None or reference or job.label in self.labels)
            and (self.archs is None or job.arch in self.archs)
            and (self.datasets is None or job.data_name in self.datasets)
            and (self.inits is None or job.init in self.inits)
        )

    def of(self, found: LoadedRecords) -> LoadedRecords:
        """The records that are shown; what could not be read stays told."""
        return found.only({key for key, one in found.records.items() if self.has(one.job)})

    def tells_of(self, claim: PaperClaim) -> bool:
        """Whether a claim is about what is shown."""
        return (
            (self.labels is None or self._shows(claim, self.labels))
            and (self.archs is None or claim.arch in self.archs)
            and (self.datasets is None or not claim.dataset or any(map(claim.is_on, self.datasets)))
        )

    def _shows(self, claim: PaperClaim, labels: frozenset[str]) -> bool:
        whole = bool(claim.labels(labels)) and not claim.labels(self.left_out)
        return whole and claim.baseline in {"", *labels}


def _network(job: Job) -> Network:
    return job.arch, job.data_name, job.init, job.rescale


def _chosen(kind: str, text: str, names: Sequence[str]) -> frozenset[str] | None:
    return frozenset(choose(kind, text, dict.fromkeys(names), is_one=names.__contains__)) if text else None
