"""The spectrum, the roots and |q| of each level over the epochs of a training run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from polyroots.errors import InputError
from polyroots.plotting import SpectrumAtEpoch, draw_flow
from polyroots.polynomials import ResidualPolynomial, magnitude
from polyroots.training import LoadedRun, Snapshot, TrackedLevel, TrackedOperator
from polyroots_figures.request import Computed, Request

_MU = "$\\mu$: eigenvalues of what the level applies to its residual, with batch norm and without ReLU"


def compute(request: Request) -> list[Computed]:
    """Read the spectra that a run tracked, for each A.

    Raises
    ------
    InputError
        If fewer than two epochs were tracked.
    """
    run = request.run
    assert run is not None
    snapshots = run.snapshots
    if len(snapshots) < 2:
        raise InputError(
            f"expected a run with the spectra of at least two epochs, got {run.run.path} with {len(snapshots)}: train "
            "with --track-spectrum K"
        )
    computed = []
    for index, (operator, number) in enumerate(zip(snapshots[0].operators, snapshots[0].numbers, strict=True)):
        level = operator.level
        tracked = [snapshot.operators[index] for snapshot in snapshots]
        name = f"$A$ number {number}" if number else "$A$"
        model = run.config.model
        place = f"({operator.name})" if model.is_own else f"of level {level}"
        title = f"{name} {place} of {model.title} while it trained{pixels(run.size_of(operator))}"
        remark = inert_remark(run, index)
        moments = [
            {
                "epoch": snapshot.epoch,
                "values": A.values,
                "roots": None if A.q is None else A.q.roots,
                "applied": _applied(snapshot.level(level)),
            }
            for snapshot, A in zip(snapshots, tracked, strict=True)
        ]
        where = f"Level {level}" + (f", A {number}" if number else "")
        words = [f"{where}: {remark}."] if remark else []
        words += applied_words(f"Level {level}", snapshots[-1], tracked[-1])
        words.append(
            f"{where}: the spectral radius went from {tracked[0].radius:.4g} to {tracked[-1].radius:.4g} in epochs "
            f"{snapshots[0].epoch} to {snapshots[-1].epoch}."
        )
        if operator.letters and any(moment["applied"] for moment in moments):
            remark = "\n".join(filter(None, [remark, _MU]))
        data = {"title": title, "remark": remark, "moments": moments}
        computed.append(Computed(f"flow-level{level}" + (f"-{number}" if number else ""), data, words))
    return computed


def draw(data: Mapping[str, Any], width: float) -> dict[str, Figure]:
    """Draw outlines of the spectra and paths of the roots, and |q| over the epochs."""
    spectra = [
        SpectrumAtEpoch(
            moment["epoch"],
            moment["values"],
            None if moment["roots"] is None else ResidualPolynomial(moment["roots"]),
            # Data of earlier versions have no such entry.
            tuple(moment["applied"]) if moment.get("applied") else None,
        )
        for moment in data["moments"]
    ]
    return {"": draw_flow(spectra, data["title"], data["remark"], width)}


def applied_words(title: str, snapshot: Snapshot, operator: TrackedOperator) -> list[str]:
    """Return a sentence on what a level applies to its residual beside its roots; an empty list if it is not known."""
    level, q = snapshot.level(operator.level), operator.q
    if level is None or q is None:
        return []
    nominal = float(magnitude(q, operator.values).max())
    # Where the steps of a level have several A, no single q is the counterpart.
    is_shared = sum(A.level == operator.level for A in snapshot.operators) == 1
    return [
        f"{title} applies an operator of spectral radius {level.radius:.4g} and norm {level.norm:.4g} to its residual "
        f"after epoch {snapshot.epoch}, batch norm included and ReLU as the identity"
        + (f"; its roots alone have max|q| {nominal:.4g}." if is_shared else ".")
    ]


def pixels(size: tuple[int, int] | None) -> str:
    """Return a grid in words, after what it is of; nothing where it is not known."""
    return "" if size is None else f", {size[0]} x {size[1]} pixels"


def _applied(level: TrackedLevel | None) -> list[float] | None:
    return None if level is None else [level.radius, level.high, level.median]


def inert_remark(run: LoadedRun, index: int) -> str:
    """Name the blocks of an A the size of whose coefficients is cancelled by batch norm; empty if there are none."""
    blocks = run.inert_blocks(index)
    if not blocks:
        return ""
    word = "block" if len(blocks) == 1 else "blocks"
    return f"batch norm cancels the size of the coefficients of {word} {' and '.join(blocks)}: their roots mean little"
