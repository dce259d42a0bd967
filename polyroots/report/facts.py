"""What a report says of a run, before it is a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
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
    report : `polyroots.levels.LevelReport` as a document; None without polynomials, or if it is unknown
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
    moments : by `BEFORE` and `AFTER`; the first one is missing where it can't be known
    inert : blocks whose coefficients' size batch norm cancels, as "1 (L)"
    """

    title: str
    size: tuple[int, int]
    channels: int
    moments: Mapping[str, Moment]
    inert: tuple[str, ...]


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
    remarks : what can't be shown, and why, a sentence each
    """

    run: LoadedRun
    document: Mapping[str, Any]
    weights: int
    epoch: int
    levels: tuple[LevelFacts, ...]
    flow: tuple[Snapshot, ...]
    remarks: tuple[str, ...]


def facts_of(run: LoadedRun) -> Facts:
    """Collect what there is to say of a run, also of one that is still going on.

    Raises
    ------
    FileError
        If the run is damaged, or was killed before its first network was saved.
    """
    network = run.model
    levels: tuple[LevelFacts, ...] = ()
    remarks = []
    if run.config.model.is_resnet:
        remarks.append(f"A {run.config.model.name} has no convolution A, and so no roots.")
    else:
        moments = {AFTER: run.end}
        reports = {AFTER: _reports_of_end(run, remarks)}
        try:
            moments = {BEFORE: run.beginning} | moments
            reports[BEFORE] = (run.init or {}).get("levels", ())
        except InputError as error:
            remarks.append(f"The network before training is not shown: {error}.")
        levels = _levels(run, moments, reports)
    return Facts(
        run,
        run.run.read_config(),
        count_weights(network),
        (run.last.training or {}).get("epoch", 0),
        levels,
        tuple(run.snapshots),
        tuple(remarks),
    )


def _reports_of_end(run: LoadedRun, remarks: list[str]) -> list[Mapping[str, Any]]:
    """Roots, coefficients and diagnosis of the last network, on the spectra that those of the first one were for."""
    network = run.model
    if not isinstance(network, PolyMgNet):
        remarks.append("This network has no polynomials: spectra are shown without roots.")
        return []
    init = run.init or {}
    try:
        operands = operands_of(network, region=init.get("region", "all"), padding=init.get("padding", "circular"))
        levels: list[Mapping[str, Any]] = report_as_is(network, operands).to_dict()["levels"]
    except InputError as error:
        remarks.append(f"The roots after training are not shown: {error}.")
        return []
    return levels


def _levels(run: LoadedRun, snapshots: Mapping[str, Snapshot], reports: Mapping[str, Any]) -> tuple[LevelFacts, ...]:
    config = run.config.model
    inert = (run.init or {}).get("inert", ())
    operators = snapshots[AFTER].operators
    count_at, seen = Counter(operator.level for operator in operators), Counter[int]()
    levels = []
    for index, operator in enumerate(operators):
        number = operator.level
        seen[number] += 1
        moments = {}
        for when, snapshot in snapshots.items():
            of_moment = reports.get(when) or ()
            moments[when] = Moment(snapshot.operators[index], of_moment[index] if index < len(of_moment) else None)
        blocks = {item["block"]: f"{item['block']} ({item['letter']})" for item in inert if item["level"] == number}
        levels.append(
            LevelFacts(
                f"Level {number}" + (f", A {seen[number]}" if count_at[number] > 1 else ""),
                config.sizes[number - 1],
                config.channels[number - 1],
                moments,
                tuple(blocks[block] for block in sorted(blocks)),
            )
        )
    return tuple(levels)
