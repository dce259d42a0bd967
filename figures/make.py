"""The figures by name, and the writing of their files."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from polyroots.errors import FileError, InputError
from polyroots.plotting import WIDTHS, save_figure
from polyroots.text import listed
from polyroots_figures import (
    figure1,
    figure2,
    figure3,
    figure4,
    figure5,
    flow,
    relaxation,
    smoothing,
    spectra,
    store,
    strategies,
)
from polyroots_figures.operators import require_level
from polyroots_figures.request import Computed, Request

FORMATS = ("png", "pdf", "svg")


@dataclass(frozen=True)
class FigureKind:
    """Functions of a figure, and its inputs.

    Attributes
    ----------
    compute : returns the data of its pictures
    draw : returns the pictures of such data at a width in inches, by the suffix of the file's name
    needs : required input: ``"run"``, ``"network"`` (of a run or a checkpoint) or ``"study"``; empty for none
    uses : fields of the request that it depends on
    """

    compute: Callable[[Request], list[Computed]]
    draw: Callable[[Mapping[str, Any], float], dict[str, Figure]]
    needs: str = ""
    uses: tuple[str, ...] = ()


_OF_A_NETWORK = ("checkpoint", "run", "level")

#: Every figure by its name in ``polyroots figures --only``.
FIGURES: dict[str, FigureKind] = {
    "1": FigureKind(figure1.compute, figure1.draw),
    "2": FigureKind(figure2.compute, figure2.draw),
    "3": FigureKind(figure3.compute, figure3.draw, uses=(*_OF_A_NETWORK, "seed", "degree", "strategy")),
    "4": FigureKind(figure4.compute, figure4.draw, uses=(*_OF_A_NETWORK, "seed")),
    "5": FigureKind(figure5.compute, figure5.draw, "study", ("study",)),
    "relaxation": FigureKind(relaxation.compute, relaxation.draw, "study", ("study",)),
    "spectra": FigureKind(spectra.compute, spectra.draw, "network", ("checkpoint", "run")),
    "flow": FigureKind(flow.compute, flow.draw, "run", ("run",)),
    "strategies": FigureKind(strategies.compute, strategies.draw, uses=(*_OF_A_NETWORK, "seed", "degree")),
    "smoothing": FigureKind(smoothing.compute, smoothing.draw, uses=("seed", "degree")),
}


class WrittenFigure(NamedTuple):
    """The files of a figure, sentences about its data, and about inputs that it lacks."""

    paths: list[Path]
    words: list[str]
    notes: Sequence[str] = ()


def impossible(name: str, request: Request) -> str:
    """Return why a figure can't be drawn of the request's run and network; empty if it can."""
    network, run = request.network, request.run
    if name == "flow" and run is not None and not run.config.track_spectrum:
        return f"{run.run.path} was trained without --track-spectrum"
    if name == "relaxation" and request.study is not None and not relaxation.is_varied(request.study):
        return f"the finished runs of {request.study} have one relaxation"
    if network is not None and network.config.is_resnet and "checkpoint" in FIGURES[name].uses:
        return f"{network.config.name} has no convolution A"
    if name == "spectra" and run is not None and run.config.model.is_own and not run.config.track_spectrum:
        return f"{run.run.path} is of a network of your own, and was trained without --track-spectrum"
    if network is not None and network.config.is_own and "level" in FIGURES[name].uses:
        try:
            require_level(request)
        except InputError as error:
            return str(error)
    return ""


def make(name: str, request: Request, out: Path, width: str = "two") -> Iterator[WrittenFigure]:
    """Compute a figure's data, draw its pictures, and yield the files of each: NAME.npz, .png, .pdf and .svg.

    Parameters
    ----------
    name : str
        One of `FIGURES`.
    request : Request
        The inputs that the data are computed from.
    out : Path
        Directory.
    width : str
        ``"one"`` or ``"two"`` columns of a paper.

    Yields
    ------
    WrittenFigure

    Raises
    ------
    InputError, FileError
        If the data can't be computed from the request, or files can't be written.
    """
    for computed in FIGURES[name].compute(request):
        # Drawn before the data is stored, so that data which can't be drawn is not stored.
        pictures = _save(FIGURES[name].draw(computed.data, WIDTHS[width]), out / computed.stem)
        path = out / f"{computed.stem}.npz"
        store.save(path, name, computed.data)
        yield WrittenFigure([path, *pictures], computed.words, computed.notes)


def redraw(out: Path, names: Collection[str] = (), width: str = "two") -> Iterator[WrittenFigure]:
    """Draw the pictures of a directory again from their data, and yield the files of each figure.

    Parameters
    ----------
    out : Path
        Directory that `make` has written.
    names : collection of str
        Figures in `FIGURES`; empty for all.
    width : str
        ``"one"`` or ``"two"`` columns of a paper.

    Yields
    ------
    WrittenFigure

    Raises
    ------
    FileError
        If there is no data, or a file is damaged.
    """
    is_found = False
    for path in sorted(out.glob("*.npz")):
        found = store.load(path)
        if found is None or found[0] not in FIGURES or (names and found[0] not in names):
            continue
        is_found = True
        name, data = found
        try:
            pictures = FIGURES[name].draw(data, WIDTHS[width])
        except (InputError, KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise FileError(f"{path} is damaged, its data can't be drawn: {error}; compute it anew") from error
        yield WrittenFigure(_save(pictures, path.with_suffix("")), [])
    if not is_found:
        which = f"of {listed(names, separator=' or ')} " if names else ""
        raise FileError(f"{out} holds no data {which}that 'polyroots figures --out {out}' wrote; leave --redraw out")


def _save(pictures: Mapping[str, Figure], stem: Path) -> list[Path]:
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*sizes collapsed to zero", category=UserWarning)
        try:
            return [
                path
                for suffix, figure in pictures.items()
                for path in save_figure(figure, stem.with_name(f"{stem.name}{suffix}"), FORMATS)
            ]
        except UserWarning as error:
            raise InputError(
                f"{stem.name} has no room for its axes beside its words: choose a larger height or smaller letters"
            ) from error
