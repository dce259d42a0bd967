"""The contents of a report as one HTML document, which holds its scripts and pictures."""

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
from polyroots.escaping import shown
from polyroots.plotting import draw_surface, style
from polyroots.polynomials import magnitude
from polyroots.report.curves import interactive_curves, interactive_flow
from polyroots.report.layout import HIGHEST_SURFACE
from polyroots.report.planes import interactive_plane, interactive_surface
from polyroots.report.summary import AFTER, BEFORE, OperatorSummary, RunSummary
from polyroots.text import floored, share

# Convolutions A with plots: a page with more of them is too large for a telephone, so the others have tables only.
_PLOTTED = 32
# Convolutions A with a still picture of the surface, for print and for browsers that run no scripts.
_PICTURED, _DPI = 8, 110

# Rows of the table of diagnoses: field of a diagnosis, name, explanation.
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
    words : description for screen readers
    json : the plot for plotly, whose encoder escapes what could end a script element
    is_surface : whether WebGL draws it, so that it can be turned
    picture : data URL of the same as a PNG picture, for print; empty without one
    """

    name: str
    words: str
    json: str
    is_surface: bool = False
    picture: str = ""


def render(summary: RunSummary) -> str:
    """Return the page as HTML; equal runs give equal pages."""
    environment = Environment(
        loader=PackageLoader("polyroots.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_on_a_page,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": _number, "share": share, "root": _root, "floored": floored}
    config = summary.run.config
    result = summary.run.result
    metrics = summary.run.metrics
    after = "after training" if result else f"after {summary.epoch} of {config.epochs} epochs"
    when = {BEFORE: "before training", AFTER: after}
    return environment.get_template("report.html").render(
        title=f"{config.model.title} on {(result or {}).get('data', config.dataset)}",
        summary=summary,
        config=config,
        result=result,
        command=_command(summary.document),
        fields=_fields(config.model_dump(mode="json")),
        environment=summary.document.get("environment", {}),
        curves=Plot("curves", "Loss, accuracy and learning rate by epoch", interactive_curves(metrics).to_json())
        if len(metrics["epoch"]) > 1
        else None,
        only_epoch=_only_epoch(metrics),
        operators=[_operator(index, summary, when) for index in range(len(summary.operators))],
        plotted=_PLOTTED,
        diagnoses=_DIAGNOSES,
        when=when,
        plotly=get_plotlyjs(),
    )


def _only_epoch(metrics: Mapping[str, Any]) -> list[tuple[str, float, float]]:
    """Rows (images, loss, accuracy) of a run of one epoch, whose curves would be points; empty for other runs."""
    if len(metrics["epoch"]) != 1:
        return []
    rows = [
        (name, float(metrics[f"{part}_loss"][0]), float(metrics[f"{part}_accuracy"][0]))
        for part, name in (("train", "training"), ("val", "validation"), ("test", "test"))
    ]
    return [row for row in rows if math.isfinite(row[2])]


def _on_a_page(value: Any) -> Any:
    """Return a value of the page; text from the run's files without what can't be shown."""
    return shown(value, len(value)) if type(value) is str else value


def _operator(index: int, summary: RunSummary, when: Mapping[str, str]) -> dict[str, Any]:
    """Plots of one A, and its blocks with their roots and coefficients at each moment."""
    operator = summary.operators[index]
    count = min(len(summary.operators), _PLOTTED)
    plots = []
    if index < _PLOTTED:
        plane = interactive_plane(operator, count)
        words = f"{operator.title}: eigenvalues and roots in the complex plane; arrow keys go from one to the next"
        plots.append(Plot(f"plane-{index}", words, plane.to_json()))
        surface = interactive_surface(operator, count)
        if surface is not None:
            words = f"{operator.title}: the surface of |q| over the spectrum; arrow keys turn it, + and - zoom"
            plots.append(
                Plot(f"surface-{index}", words, surface.to_json(), True, _picture(operator, index, when[operator.last]))
            )
    flow = None
    if len(summary.snapshots) > 1 and index < _PLOTTED:
        words = f"{operator.title}: extent of the spectrum and |q| on it by epoch"
        flow = Plot(f"flow-{index}", words, interactive_flow(summary.snapshots, index).to_json())
    return {"summary": operator, "plots": plots, "flow": flow, "blocks": _blocks(operator)}


def _blocks(operator: OperatorSummary) -> list[dict[str, Any]]:
    """Roots and coefficients of each block, by moment."""
    known = {when: state.report["blocks"] for when, state in operator.states.items() if state.report}
    letters = [block["letter"] for block in next(iter(known.values()), ())]
    return [
        {
            "number": operator.first_block + index,
            "letter": letter,
            "moments": {when: blocks[index] for when, blocks in known.items()},
        }
        for index, letter in enumerate(letters)
    ]


def _picture(operator: OperatorSummary, index: int, when: str) -> str:
    """Data URL of a still picture of the surface; empty where there is none."""
    tracked = operator.states[operator.last].operator
    q = tracked.q
    if q is None or index >= _PICTURED or not magnitude(q, tracked.values).max() < HIGHEST_SURFACE:
        return ""
    try:
        figure = draw_surface(tracked.values, q, f"{operator.title}, {when}")
    except InputError:  # the eigenvalues lie on a line
        return ""
    stream = io.BytesIO()
    with style():
        figure.savefig(stream, format="png", dpi=_DPI)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"


def _command(document: Mapping[str, Any]) -> str:
    """The command that started the run; empty where it was started from Python."""
    words = [str(word) for word in document.get("command", ())]
    return shlex.join([Path(words[0]).name, *words[1:]]) if words else ""


def _fields(document: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """A configuration as rows of a table: dotted name, value."""
    rows: list[tuple[str, str]] = []
    for name, value in document.items():
        if isinstance(value, Mapping):
            rows += _fields(value, f"{prefix}{name}.")
        elif value is not None:
            text = ", ".join(map(str, value)) if isinstance(value, Sequence) and not isinstance(value, str) else value
            rows.append((f"{prefix}{name}", str(text)))
    return rows


def _number(value: float | None) -> str:
    """Four significant digits; a dash for an unknown value.

    >>> _number(0.57735), _number(None), _number(1.0)
    ('0.5774', '-', '1')
    """
    return "-" if value is None else f"{value:.4g}"


def _root(root: Sequence[float]) -> str:
    """A root (re, im) as text.

    >>> _root((0.5, 0.0)), _root((0.1, -0.25))
    ('0.5', '0.1 - 0.25 i')
    """
    re, im = root
    if im == 0 or math.isnan(im):
        return _number(re)
    return f"{_number(re)} {'-' if im < 0 else '+'} {_number(abs(im))} i"
