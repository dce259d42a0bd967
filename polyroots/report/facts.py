"""What a report says of a run, before it is a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from polyroots.errors import InputError
from polyroots.initialization import operands_of, report_as_is
from polyroots.models import PolyMgNet, count_weights
from polyroots.training import LoadedRun, Snapshot, TrackedOperator

#: The moments that a report shows a network at.
BEFORE, AFTER = "before", "after"


@dataclass(frozen=True)
class Moment:
    """An A with its blocks before or after training.

    Attributes
    ----------
    operator : spectrum and coefficients
    report : `polyroots.initialization.LevelReport` as a document; None without polynomials, or if it is unknown
    """

    operator: TrackedOperator
    report: Mapping[str, Any] | None


@dataclass(frozen=True)
class LevelFacts:
    """One convolution A.

    Attributes
    ----------
    title : such as "Level 1" or "Level 1, A 2"
    size : (H, W) in pixels
    channels : of A
    moments : by `BEFORE` and `AFTER`; one is missing where it can't be known
    first_block : number of its first block in the level, from 1
    inert : blocks whose coefficients' size batch norm cancels, as "1 (L)"
    """

    title: str
    size: tuple[int, int]
    channels: int
    moments: Mapping[str, Moment]
    first_block: int
    inert: tuple[str, ...]

    @property
    def last(self) -> str:
        """The later one of its moments."""
        return AFTER if AFTER in self.moments else BEFORE


@dataclass(frozen=True)
class Facts:
    """A run.

    Attributes
    ----------
    run : the run
    document : of its config.json: configuration, command, environment
    weights : number of trained weights
    epoch : epochs that are done
    levels : one for each A, finest level first; none of a ResNet
    flow : spectra while it trained; fewer than two where they were not tracked
    padding : boundary of the operators that roots were chosen for and that diagnoses are of
    remarks : what can't be shown, and why, a sentence each
    """

    run: LoadedRun
    document: Mapping[str, Any]
    weights: int
    epoch: int
    levels: tuple[LevelFacts, ...]
    flow: tuple[Snapshot, ...]
    padding: str
    remarks: tuple[str, ...]


def facts_of(run: LoadedRun) -> Facts:
    """Collect what there is to say of a run, also of one that is still going on.

    Raises
    ------
    FileError
        If the run is damaged, or was killed before its first network was saved.
    """
    network = run.model
    snapshots: dict[str, Snapshot] = {}
    reports: dict[str, Sequence[Mapping[str, Any]]] = {}
    remarks: list[str] = []
    if run.config.model.is_resnet:
        remarks.append(f"A {run.config.model.name} has no convolution A, and so no roots.")
    else:
        for when, what in ((BEFORE, "before training"), (AFTER, "as it was last saved")):
            try:
                snapshots[when] = run.beginning if when == BEFORE else run.end
            except InputError as error:
                remarks.append(f"The network {what} is not shown: {error}.")
        reports[BEFORE] = (run.init or {}).get("levels", ())
        if AFTER in snapshots:
            reports[AFTER] = _reports_of_end(run, remarks)
    epochs = (run.result or {}).get("epochs", 0)
    if len(run.metrics["epoch"]) < epochs:
        remarks.append(f"metrics.csv has {len(run.metrics['epoch'])} of {epochs} epochs: the others are lost.")
    return Facts(
        run,
        run.run.read_config(),
        count_weights(network),
        (run.last.training or {}).get("epoch", 0),
        _levels(run, snapshots, reports),
        tuple(run.snapshots),
        (run.init or {}).get("padding", "circular"),
        tuple(remarks),
    )


def _reports_of_end(run: LoadedRun, remarks: list[str]) -> Sequence[Mapping[str, Any]]:
    """Roots, coefficients and diagnosis of the last network, on the spectra that those of the first one were for."""
    network = run.model
    if not isinstance(network, PolyMgNet):
        remarks.append("This network has no polynomials: spectra are shown without roots.")
        return []
    init = run.init or {}
    try:
        operands = operands_of(network, region=init.get("region", "all"), padding=init.get("padding", "circular"))
        levels: Sequence[Mapping[str, Any]] = report_as_is(network, operands).to_dict()["levels"]
    except InputError as error:
        remarks.append(f"The roots after training are not shown: {error}.")
        return []
    return levels


def _levels(
    run: LoadedRun, snapshots: Mapping[str, Snapshot], reports: Mapping[str, Sequence[Mapping[str, Any]]]
) -> tuple[LevelFacts, ...]:
    config = run.config.model
    if not snapshots:
        return ()
    first = next(iter(snapshots.values()))
    blocks = Counter[int]()
    levels = []
    for index, (operator, number) in enumerate(zip(first.operators, first.numbers, strict=True)):
        level = operator.level
        moments = {}
        for when, snapshot in snapshots.items():
            of_moment = reports.get(when, ())
            moments[when] = Moment(snapshot.operators[index], of_moment[index] if index < len(of_moment) else None)
        levels.append(
            LevelFacts(
                f"Level {level}" + (f", A {number}" if number else ""),
                config.sizes[level - 1],
                config.channels[level - 1],
                moments,
                blocks[level] + 1,
                run.inert_blocks(index) if AFTER in snapshots else (),
            )
        )
        blocks[level] += len(operator.letters)
    return tuple(levels)
