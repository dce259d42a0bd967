"""How the spectrum, the roots and |q| of each level moved while a network trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from polyroots.errors import InputError
from polyroots.plotting import Moment, draw_flow
from polyroots.polynomial import ResidualPolynomial
from polyroots.training import LoadedRun
from polyroots_figures.request import Computed, Request


def compute(request: Request) -> list[Computed]:
    """Read the spectra that a run tracked, for each A of it.

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
            f"{run.run.path} has tracked {len(snapshots)} epochs, two are needed; train with --track-spectrum K"
        )
    computed, seen = [], dict[int, int]()
    for index, operator in enumerate(snapshots[0].operators):
        tracked = [snapshot.operators[index] for snapshot in snapshots]
        seen[operator.level] = number = seen.get(operator.level, 0) + 1
        H, W = run.config.model.sizes[operator.level - 1]
        title = (
            f"$A$ of level {operator.level} of a {run.config.model.title} while it trained, {H} x {W} pixels, "
            "circular padding"
        )
        remark = inert_remark(run, operator.level)
        moments = [
            {"epoch": snapshot.epoch, "values": A.values, "roots": None if A.q is None else A.q.roots}
            for snapshot, A in zip(snapshots, tracked, strict=True)
        ]
        first, last = (A.radius for A in (tracked[0], tracked[-1]))
        words = [f"Level {operator.level}: {remark}."] if remark else []
        words.append(
            f"Level {operator.level}: the spectral radius went from {first:.4g} to {last:.4g} in epochs "
            f"{snapshots[0].epoch} to {snapshots[-1].epoch}."
        )
        stem = f"flow-level{operator.level}" + (f"-{number}" if number > 1 else "")
        computed.append(Computed(stem, {"title": title, "remark": remark, "moments": moments}, words))
    return computed


def draw(data: Mapping[str, Any], width: float) -> dict[str, Figure]:
    """Draw outlines of the spectra and the ways of the roots, and |q| over the epochs."""
    moments = [
        Moment(
            moment["epoch"],
            moment["values"],
            None if moment["roots"] is None else ResidualPolynomial(moment["roots"]),
        )
        for moment in data["moments"]
    ]
    return {"": draw_flow(moments, data["title"], data["remark"], width)}


def inert_remark(run: LoadedRun, level: int) -> str:
    """Say of which blocks of a level batch norm cancels the size of coefficients; nothing if there are none."""
    inert = (run.init or {}).get("inert", ())
    blocks = sorted({item["block"]: item["letter"] for item in inert if item["level"] == level}.items())
    if not blocks:
        return ""
    word = "block" if len(blocks) == 1 else "blocks"
    named = " and ".join(f"{number} ({letter})" for number, letter in blocks)
    return f"batch norm cancels the size of the coefficients of {word} {named}: their roots mean little"
