"""From the name of a figure to its files."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from polyroots.errors import FileError, InputError
from polyroots.plotting import WIDTHS, save_figure
from polyroots_figures import figure1, figure2, figure3, figure4, figure5, flow, smoothing, spectra, store, strategies
from polyroots_figures.request import Computed, Request

FORMATS = ("png", "pdf", "svg")


@dataclass(frozen=True)
class Kind:
    """A figure.

    Attributes
    ----------
    compute : returns the data of its pictures
    draw : turns the data of one into pictures of a width in inches, suffix of the file's name -> picture
    needs : ``"run"``, ``"network"`` (a run's or a checkpoint's) or ``"study"``; empty where it needs none
    uses : fields of the request that have a say in it
    """

    compute: Callable[[Request], list[Computed]]
    draw: Callable[[Mapping[str, Any], float], dict[str, Figure]]
    needs: str = ""
    uses: tuple[str, ...] = ()


_OF_A_NETWORK = ("checkpoint", "run", "level")

#: Every figure by the name that ``polyroots figures --only`` knows it by.
FIGURES: dict[str, Kind] = {
    "1": Kind(figure1.compute, figure1.draw),
    "2": Kind(figure2.compute, figure2.draw),
    "3": Kind(figure3.compute, figure3.draw, uses=(*_OF_A_NETWORK, "seed", "degree", "strategy")),
    "4": Kind(figure4.compute, figure4.draw, uses=(*_OF_A_NETWORK, "seed")),
    "5": Kind(figure5.compute, figure5.draw, "study", ("study",)),
    "spectra": Kind(spectra.compute, spectra.draw, "network", ("checkpoint", "run")),
    "flow": Kind(flow.compute, flow.draw, "run", ("run",)),
    "strategies": Kind(strategies.compute, strategies.draw, uses=(*_OF_A_NETWORK, "seed", "degree")),
    "smoothing": Kind(smoothing.compute, smoothing.draw, uses=("seed", "degree")),
}


class Made(NamedTuple):
    """The files that were written, and what is to be said of what is in them, a sentence each."""

    paths: list[Path]
    words: list[str]


def impossible(name: str, request: Request) -> str:
    """Say why there can be no such figure of the request's run and network; nothing if there can."""
    network, run = request.network, request.run
    if name == "flow" and run is not None and not run.config.track_spectrum:
        return f"{run.run.path} was trained without --track-spectrum"
    if network is not None and network.config.is_resnet and "checkpoint" in FIGURES[name].uses:
        return f"{network.config.name} has no convolution A"
    return ""


def make(name: str, request: Request, out: Path, width: str = "two") -> Iterator[Made]:
    """Compute a figure's data and draw its pictures: out/NAME.npz, .png, .pdf and .svg, one after the other.

    Parameters
    ----------
    name : in `FIGURES`
    request : what it is computed from
    out : directory
    width : ``"one"`` column of a paper, or ``"two"``

    Raises
    ------
    InputError, FileError
        If there is nothing to compute it from, or files can't be written.
    """
    for computed in FIGURES[name].compute(request):
        # What can't be drawn leaves no data to draw again.
        pictures = _save(FIGURES[name].draw(computed.data, WIDTHS[width]), out / computed.stem)
        path = out / f"{computed.stem}.npz"
        store.save(path, name, computed.data)
        yield Made([path, *pictures], computed.words)


def redraw(out: Path, names: Collection[str] = (), width: str = "two") -> Iterator[Made]:
    """Draw the pictures of a directory again from the data beside them, of all figures or those of some names.

    Raises
    ------
    FileError
        If there are none, or a file is damaged.
    """
    is_there = False
    for path in sorted(out.glob("*.npz")):
        found = store.load(path)
        if found is None or found[0] not in FIGURES or (names and found[0] not in names):
            continue
        is_there = True
        name, data = found
        try:
            pictures = FIGURES[name].draw(data, WIDTHS[width])
        except (InputError, KeyError, IndexError, TypeError, ValueError) as error:
            raise FileError(f"{path} is damaged, its data can't be drawn: {error}; compute it anew") from error
        yield Made(_save(pictures, path.with_suffix("")), [])
    if not is_there:
        which = f"of {' or '.join(names)} " if names else ""
        raise FileError(f"{out} holds no data {which}that 'polyroots figures --out {out}' wrote; leave --redraw out")


def _save(pictures: Mapping[str, Figure], stem: Path) -> list[Path]:
    return [
        path
        for suffix, figure in pictures.items()
        for path in save_figure(figure, stem.with_name(f"{stem.name}{suffix}"), FORMATS)
    ]
