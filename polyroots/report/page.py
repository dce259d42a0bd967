"""The report as a page: one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import io
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from plotly.offline import get_plotlyjs

from polyroots.errors import InputError
from polyroots.files import replacing
from polyroots.plotting import draw_surface as draw_static_surface
from polyroots.plotting import style
from polyroots.report.curves import draw_curves, draw_flow
from polyroots.report.facts import AFTER, BEFORE, Facts, LevelFacts, facts_of
from polyroots.report.look import BEYOND, size_of
from polyroots.report.planes import draw_plane, draw_surface
from polyroots.text import floored, share
from polyroots.training import LoadedRun, load_run

# A page of more is too large for a telephone: of the others there are the tables.
_PLOTTED = 32
# Pictures for print and for browsers that run no scripts.
_PICTURED, _DPI = 8, 110

# Rows of the table of diagnoses: field, name, what it means.
_DIAGNOSES = (
    ("max_abs", "max |q|", "null space left out"),
    ("mean_abs", "mean |q|", ""),
    ("rms", "root mean square of |q|", ""),
    ("damped", "damped", "share of the eigenvalues with |q| < 1"),
    ("smoothing_factor", "smoothing factor", "max |q| over the high frequencies"),
    ("norm", "‖q(A)‖", "what all blocks together multiply a residual by at worst"),
    ("growth", "growth", "largest partial product of the factors"),
    ("best", "best possible max |q|", "of a polynomial with as many roots"),
    ("best_bound", "no polynomial gets below", "proven"),
)


@dataclass(frozen=True)
class Plot:
    """A plot on the page.

    Attributes
    ----------
    name : of its element
    words : what it shows, for those who don't see it
    json : for plotly, which has escaped what could end a script element
    is_surface : whether it is drawn by WebGL and turned
    picture : the same as a PNG data address, for print; empty without one
    """

    name: str
    words: str
    json: str
    is_surface: bool = False
    picture: str = ""


def write_report(run: str | Path | LoadedRun, path: str | Path | None = None) -> Path:
    """Write a run as one HTML page, which needs no network, and return its path.

    Parameters
    ----------
    run : directory of a run, or one that `polyroots.training.load_run` opened
        Also one that is still going on.
    path : path, optional
        By default report.html in the run's directory.

    Raises
    ------
    FileError
        If there is no such run, or the page can't be written.
    """
    loaded = run if isinstance(run, LoadedRun) else load_run(run)
    path = loaded.run.path / "report.html" if path is None else Path(path)
    page = render(facts_of(loaded))
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def render(facts: Facts) -> str:
    """Return the page; the same run gives the same page."""
    environment = Environment(
        loader=PackageLoader("polyroots.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": _number, "share": share, "root": _root, "floored": floored}
    config = facts.run.config
    result = facts.run.result
    metrics = facts.run.metrics
    after = "after training" if result else f"after {facts.epoch} of {config.epochs} epochs"
    when = {BEFORE: "before training", AFTER: after}
    return environment.get_template("report.html").render(
        title=f"{config.model.title} on {(result or {}).get('data', config.dataset)}",
        facts=facts,
        config=config,
        result=result,
        command=_command(facts.document),
        fields=_fields(config.model_dump(mode="json")),
        environment=facts.document.get("environment", {}),
        curves=Plot("curves", "Loss, accuracy and learning rate by epoch", draw_curves(metrics).to_json())
        if len(metrics["epoch"])
        else None,
        levels=[_level(index, level, facts, when) for index, level in enumerate(facts.levels)],
        plotted=_PLOTTED,
        diagnoses=_DIAGNOSES,
        when=when,
        plotly=get_plotlyjs(),
    )


def _level(index: int, level: LevelFacts, facts: Facts, when: Mapping[str, str]) -> dict[str, Any]:
    """Plots of one A, and its blocks with roots and coefficients at each moment."""
    count = min(len(facts.levels), _PLOTTED)
    plots = []
    if index < _PLOTTED:
        plane = draw_plane(level, count)
        words = f"{level.title}: eigenvalues and roots in the complex plane; arrow keys go from one to the next"
        plots.append(Plot(f"plane-{index}", words, plane.to_json()))
        surface = draw_surface(level, count)
        if surface is not None:
            words = f"{level.title}: the surface of |q| over the spectrum; arrow keys turn it, + and - zoom"
            plots.append(
                Plot(f"surface-{index}", words, surface.to_json(), True, _picture(level, index, when[level.last]))
            )
    flow = None
    if len(facts.flow) > 1 and index < _PLOTTED:
        words = f"{level.title}: extent of the spectrum and |q| on it by epoch"
        flow = Plot(f"flow-{index}", words, draw_flow(facts.flow, index).to_json())
    return {"facts": level, "plots": plots, "flow": flow, "blocks": _blocks(level)}


def _blocks(level: LevelFacts) -> list[dict[str, Any]]:
    """Roots and coefficients of each block, by moment."""
    known = {when: moment.report["blocks"] for when, moment in level.moments.items() if moment.report}
    letters = [block["letter"] for block in next(iter(known.values()), ())]
    return [
        {
            "number": level.first_block + index,
            "letter": letter,
            "moments": {when: blocks[index] for when, blocks in known.items()},
        }
        for index, letter in enumerate(letters)
    ]


def _picture(level: LevelFacts, index: int, when: str) -> str:
    """The surface as a still picture."""
    moment = level.moments[level.last]
    q = moment.operator.q
    if q is None or index >= _PICTURED or not size_of(q, moment.operator.values).max() < BEYOND:
        return ""
    try:
        figure = draw_static_surface(moment.operator.values, q, f"{level.title}, {when}")
    except InputError:  # no area
        return ""
    stream = io.BytesIO()
    with style():
        figure.savefig(stream, format="png", dpi=_DPI)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"


def _command(document: Mapping[str, Any]) -> str:
    words = [str(word) for word in document.get("command", ())]
    return shlex.join([Path(words[0]).name, *words[1:]]) if words else ""


def _fields(document: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Configuration as rows of a table."""
    rows: list[tuple[str, str]] = []
    for name, value in document.items():
        if isinstance(value, Mapping):
            rows += _fields(value, f"{prefix}{name}.")
        elif value is not None:
            text = ", ".join(map(str, value)) if isinstance(value, Sequence) and not isinstance(value, str) else value
            rows.append((f"{prefix}{name}", str(text)))
    return rows


def _number(value: float | None) -> str:
    """Four significant digits; a dash for what is not known.

    >>> _number(0.57735), _number(None), _number(1.0)
    ('0.5774', '-', '1')
    """
    return "-" if value is None else f"{value:.4g}"


def _root(root: Sequence[float]) -> str:
    """A root (re, im).

    >>> _root((0.5, 0.0)), _root((0.1, -0.25))
    ('0.5', '0.1 - 0.25 i')
    """
    re, im = root
    if im == 0 or math.isnan(im):
        return _number(re)
    return f"{_number(re)} {'-' if im < 0 else '+'} {_number(abs(im))} i"
