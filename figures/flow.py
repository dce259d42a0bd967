"""How the spectrum, the roots and |q| of each level moved while a network trained."""

from __future__ import annotations

from pathlib import Path

from polyroots.errors import InputError
from polyroots.plotting import Moment, draw_flow, save_figure
from polyroots.training import LoadedRun
from polyroots_figures.drawn import Drawn


def draw(out: Path, run: LoadedRun) -> Drawn:
    """Draw each A of a run that tracked its spectra, to out/flow-levelL.png and .pdf.

    Where the steps of a level have several A, their pictures are numbered: flow-levelL-2.

    Raises
    ------
    InputError
        If fewer than two epochs were tracked.
    """
    snapshots = run.snapshots
    if len(snapshots) < 2:
        raise InputError(
            f"{run.run.path} has tracked {len(snapshots)} epochs, two are needed; train with --track-spectrum K"
        )
    paths, words, seen = [], [], dict[int, int]()
    for index, operator in enumerate(snapshots[0].operators):
        moments = [
            Moment(snapshot.epoch, snapshot.operators[index].values, snapshot.operators[index].q)
            for snapshot in snapshots
        ]
        seen[operator.level] = number = seen.get(operator.level, 0) + 1
        H, W = run.config.model.sizes[operator.level - 1]
        title = (
            f"$A$ of level {operator.level} of a {run.config.model.title} while it trained, {H} x {W} pixels, "
            "circular padding"
        )
        inert = _inert_blocks(run, operator.level)
        remark = f"batch norm cancels the size of the coefficients of {inert}: their roots mean little" if inert else ""
        stem = f"flow-level{operator.level}" + (f"-{number}" if number > 1 else "")
        paths += save_figure(draw_flow(moments, title, remark), out / stem)
        first, last = (float(abs(moments[i].values).max()) for i in (0, -1))
        if remark:
            words.append(f"Level {operator.level}: {remark}.")
        words.append(
            f"Level {operator.level}: the spectral radius went from {first:.4g} to {last:.4g} in epochs "
            f"{moments[0].epoch} to {moments[-1].epoch}."
        )
    return Drawn(paths, words)


def _inert_blocks(run: LoadedRun, level: int) -> str:
    """Blocks of a level of whose coefficients batch norm cancels the size; nothing if there are none."""
    inert = (run.init or {}).get("inert", ())
    blocks = sorted({item["block"]: item["letter"] for item in inert if item["level"] == level}.items())
    word = "block" if len(blocks) == 1 else "blocks"
    return f"{word} " + " and ".join(f"{number} ({letter})" for number, letter in blocks) if blocks else ""
