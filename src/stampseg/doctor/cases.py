"""Every case of a data set read once."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field

from ..core.config import Config
from ..core.errors import DataError
from ..core.remarks import REMEDY, gathered
from ..core.threads import in_threads
from ..data.cases import Case, Dataset
from ..data.fingerprint import threads_for
from ..data.labels.relabelling import labels_asked
from ..data.labels.values import Counted
from .facts import CaseFacts, read_facts
from .finding import Finding, finding


@dataclass
class ReadCases:
    """What is kept of them.

    Attributes:
        facts: of those that could be read.
        broken: why others could not.
        counted: values of the labels, by file.
        findings: what the readers remarked.
    """

    facts: list[CaseFacts] = field(default_factory=list)
    broken: dict[Case, str] = field(default_factory=dict)
    counted: Counted = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


def read_cases(dataset: Dataset, config: Config) -> ReadCases:
    """Read all, several at once; every problem is kept instead of stopping at the first."""
    read = ReadCases()
    chosen, ignored = labels_asked(config.data, dataset.label_names, dataset.ignored, dataset.regions)

    def facts_of(case: Case) -> CaseFacts | DataError:
        try:
            return read_facts(case, ignored, chosen.relabel, read.counted)
        except DataError as error:
            return error

    with (
        gathered() as remarks,
        closing(in_threads(facts_of, dataset.cases, threads_for(dataset.cases))) as found,
    ):
        for case, one in zip(dataset.cases, found, strict=True):
            if isinstance(one, CaseFacts):
                read.facts.append(one)
            else:
                read.broken[case] = str(one)
    read.findings = [finding("reader", text, REMEDY, files) for text, files in remarks.sentences()]
    return read
