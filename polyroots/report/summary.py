"""The contents of a report, collected from a run's directory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from polyroots.errors import FileError, InputError
from polyroots.initialization import operators_to_damp, report_as_is
from polyroots.models import PolyMgNet
from polyroots.training import LoadedRun, Snapshot, TrackedLevel, TrackedOperator

#: The two moments at which a report shows a network.
BEFORE, AFTER = "before", "after"


@dataclass(frozen=True)
class OperatorState:
    """A convolution A and its blocks before or after training.

    Attributes
    ----------
    operator : spectrum and coefficients
    report : roots, coefficients and diagnosis, as the document of a `polyroots.initialization.LevelReport`; None
        without polynomials, and where it could not be computed
    applied : what its level applies to the residual, batch norm included; None where that is not known
    """

    operator: TrackedOperator
    report: Mapping[str, Any] | None
    applied: TrackedLevel | None = None


@dataclass(frozen=True)
class OperatorSummary:
    """The part of a report on one convolution A.

    Attributes
    ----------
    title : such as "Level 1" or "Level 1, A 2"
    size : (H, W) in pixels
    channels : of A
    states : by moment, `BEFORE` and `AFTER`; a moment is missing where the network then can't be reconstructed
    first_block : number of its first block in the level, from 1
    inert : blocks the size of whose coefficients is cancelled by batch norm, as "1 (L)"
    """

    title: str
    size: tuple[int, int]
    channels: int
    states: Mapping[str, OperatorState]
    first_block: int
    inert: tuple[str, ...]

    @property
    def has_applied(self) -> bool:
        """Whether it is known at some moment what its level applies."""
        return any(state.applied is not None for state in self.states.values())

    @property
    def knows_applied(self) -> bool:
        """Whether it is known at every moment."""
        return all(state.applied is not None for state in self.states.values())

    @property
    def last(self) -> str:
        """The later one of its moments."""
        return AFTER if AFTER in self.states else BEFORE


@dataclass(frozen=True)
class RunSummary:
    """The contents of a report.

    Attributes
    ----------
    run : the run
    document : contents of its config.json: configuration, command, environment
    weights : number of trained weights
    epoch : number of completed epochs
    operators : one for each A, finest level first; empty for a ResNet
    snapshots : tracked spectra by epoch; fewer than two without tracking
    padding : boundary condition of the operators for which roots were chosen and diagnosed
    remarks : sentences that say what can't be shown, and why
    """

    run: LoadedRun
    document: Mapping[str, Any]
    weights: int
    epoch: int
    operators: tuple[OperatorSummary, ...]
    snapshots: tuple[Snapshot, ...]
    padding: str
    remarks: tuple[str, ...]


def summarise(run: LoadedRun) -> RunSummary:
    """Return the contents of the report of a run, which need not have ended.

    Raises
    ------
    FileError
        If the run is damaged, or was interrupted before its first network was saved.
    """
    snapshots: dict[str, Snapshot] = {}
    reports: dict[str, Sequence[Mapping[str, Any]]] = {}
    remarks: list[str] = []
    if run.config.model.is_own:
        remarks.append("Spectra of a network of your own are shown where they were tracked (track_spectrum).")
    elif run.config.model.is_resnet:
        remarks.append(f"A {run.config.model.name} has no convolution A, and so no roots.")
    else:
        for when, what in ((BEFORE, "before training"), (AFTER, "as it was last saved")):
            try:
                snapshots[when] = run.beginning if when == BEFORE else run.end
            except InputError as error:
                remarks.append(f"The network {what} is not shown: {error}.")
        reports[BEFORE] = _reports_of_beginning(run, snapshots)
        if AFTER in snapshots:
            reports[AFTER] = _reports_of_end(run, remarks)
    epochs = (run.result or {}).get("epochs", 0)
    if len(run.metrics["epoch"]) < epochs:
        remarks.append(f"metrics.csv has {len(run.metrics['epoch'])} of {epochs} epochs: the others are lost.")
    return RunSummary(
        run,
        run.run.read_config(),
        run.weights,
        (run.last.training or {}).get("epoch", 0),
        _operators(run, snapshots, reports),
        tuple(run.snapshots),
        (run.init or {}).get("padding", "circular"),
        tuple(remarks),
    )


def _reports_of_beginning(run: LoadedRun, snapshots: Mapping[str, Snapshot]) -> Sequence[Mapping[str, Any]]:
    """Roots, coefficients and diagnosis of the first network; raise FileError if they are of another network."""
    levels: Sequence[Mapping[str, Any]] = (run.init or {}).get("levels", ())
    for snapshot in snapshots.values():
        letters = [A.letters for A in snapshot.operators]
        if levels and letters != [tuple(block["letter"] for block in level["blocks"]) for level in levels]:
            raise FileError(
                f"{run.run.init} is of another network than {run.run.last}: remove it, and 'polyroots train --resume' "
                "writes it again"
            )
    return levels


def _reports_of_end(run: LoadedRun, remarks: list[str]) -> Sequence[Mapping[str, Any]]:
    """Roots, coefficients and diagnosis of the last network, with the region and padding of its initialisation."""
    network = run.model
    if not isinstance(network, PolyMgNet):
        remarks.append("This network has no polynomials: spectra are shown without roots.")
        return []
    init = run.init or {}
    try:
        operators = operators_to_damp(
            network, region=init.get("region", "all"), padding=init.get("padding", "circular")
        )
        levels: Sequence[Mapping[str, Any]] = report_as_is(network, operators).to_dict()["levels"]
    except InputError as error:
        remarks.append(f"The roots after training are not shown: {error}.")
        return []
    return levels


def _operators(
    run: LoadedRun, snapshots: Mapping[str, Snapshot], reports: Mapping[str, Sequence[Mapping[str, Any]]]
) -> tuple[OperatorSummary, ...]:
    """Put spectra and reports together, A by A."""
    config = run.config.model
    if not snapshots:
        return ()
    first = next(iter(snapshots.values()))
    blocks = Counter[int]()
    operators = []
    for index, (operator, number) in enumerate(zip(first.operators, first.numbers, strict=True)):
        level = operator.level
        states = {}
        for when, snapshot in snapshots.items():
            found = reports.get(when, ())
            states[when] = OperatorState(
                snapshot.operators[index], found[index] if index < len(found) else None, snapshot.level(level)
            )
        operators.append(
            OperatorSummary(
                f"Level {level}" + (f", A {number}" if number else ""),
                config.sizes[level - 1],
                config.channels[level - 1],
                states,
                blocks[level] + 1,
                run.inert_blocks(index) if AFTER in snapshots else (),
            )
        )
        blocks[level] += len(operator.letters)
    return tuple(operators)
