"""What ``polyroots spectrum`` found, and its JSON document."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyroots.errors import InputError
from polyroots.spectra import require_finite

if TYPE_CHECKING:
    from polyroots.analysis import Analysis, Layer, LayerResult, Verification
    from polyroots.checkpoints import LayerSet


@dataclass
class SpectrumReport:
    """A checkpoint, its chosen layers, and what was computed of them."""

    path: Path
    found: LayerSet
    layers: list[Layer]
    skipped: dict[str, str]
    unmatched: list[str]
    size_given: bool
    results: dict[str, LayerResult] = field(default_factory=dict)
    checks: dict[str, Verification] = field(default_factory=dict)

    def leave_out_broken(self) -> None:
        """Skip layers whose weights are not finite, with the reason, before anything is computed."""
        for layer in list(self.layers):
            try:
                require_finite(layer.read(), layer.name)
            except InputError as error:
                self.layers.remove(layer)
                self.skipped[layer.name] = str(error).removeprefix(f"{layer.name}: ")


def require_names(findings: list[SpectrumReport], globs: Sequence[str]) -> None:
    """Raise InputError if no checkpoint has a convolution with one of the names that were asked for."""
    if not any(item.layers or item.skipped for item in findings):
        item = findings[0]
        names = [*(layer.name for layer in item.found.layers), *item.found.skipped]
        raise InputError(
            f"{item.path} has no convolution named like {' or '.join(globs)}; its names are such as "
            f"{', '.join(names[:3])} (--list shows all)"
        )


def require_layers(findings: list[SpectrumReport]) -> None:
    """Raise InputError, with every reason, if no checkpoint has a layer to analyse."""
    if not any(item.layers for item in findings):
        item = findings[0]
        reasons = "; ".join(f"{name} ({reason})" for name, reason in item.skipped.items())
        raise InputError(f"{item.path} holds nothing to analyse: {reasons}")


def list_document(findings: list[SpectrumReport]) -> dict[str, Any]:
    """Return the lists of convolutions, for JSON."""
    return _join([_head(item) | {"layers": [_geometry(layer) for layer in item.layers]} for item in findings])


def document(findings: list[SpectrumReport], analysis: Analysis) -> dict[str, Any]:
    """Return everything that was computed but the values themselves, for JSON."""
    documents = [
        _head(item)
        | {
            "padding": analysis.padding,
            "layers": [_layer_document(result, item.checks.get(name)) for name, result in item.results.items()],
        }
        for item in findings
    ]
    return _join(documents) | ({"comparison": compared(findings)} if len(findings) == 2 else {})


def _join(documents: list[dict[str, Any]]) -> dict[str, Any]:
    return documents[0] if len(documents) == 1 else {"checkpoints": documents}


def _head(item: SpectrumReport) -> dict[str, Any]:
    return {
        "checkpoint": str(item.path),
        "entry": item.found.entry or None,
        "size_assumed": item.found.assumed and not item.size_given,
        "geometry_assumed": item.found.assumed,
        "skipped": [{"name": name, "reason": reason} for name, reason in item.skipped.items()],
    }


def _geometry(layer: Layer) -> dict[str, Any]:
    conv = layer.conv
    return {
        "name": layer.name,
        "shape": list(layer.shape),
        "dtype": layer.dtype,
        "size": list(conv.size),
        "stride": list(conv.stride),
        "dilation": list(conv.dilation),
        "groups": conv.groups,
        "own_padding": conv.padding,
        "assumption": layer.note or None,
    }


def _layer_document(result: LayerResult, check: Verification | None) -> dict[str, Any]:
    row = _geometry(result.layer)
    if result.ends is not None:
        row |= {
            "eigenvalues": None if result.spectrum is None else len(result.spectrum),
            **{what: _finite(getattr(result.ends, what)) for what in ("radius", "min_real", "max_real", "max_imag")},
            "departure": _finite(departure(result)),
            "condition": _finite(largest_condition(result)),
            "error": _finite(largest_error(result)),
        }
    if result.extremes is not None:
        row["method"] = result.extremes.method
        row["extremes"] = {
            name: [
                {
                    "real": float(end.values[k].real),
                    "imag": float(end.values[k].imag),
                    "frequency": None if end.frequencies is None else end.frequencies[k].tolist(),
                    "residual": _finite(float(end.residuals[k])),
                    "condition": _finite(float(end.conditions[k])),
                    "converged": bool(end.converged[k]),
                }
                for k in range(len(end.values))
            ]
            for name, end in result.extremes.ends.items()
        }
        row["suprema"] = {name: _finite(end.supremum) for name, end in result.extremes.ends.items()}
    if result.singular is not None:
        summary = result.singular
        row |= {
            "singular_values": None if result.sigma is None else len(result.sigma),
            "norm": _finite(summary.norm),
            "smallest": _finite(summary.smallest),
            "condition_number": _finite(summary.condition),
            "stable_rank": _finite(summary.stable_rank),
        }
    if check is not None:
        row["verification"] = {
            "size": list(check.size),
            "shape": list(check.shape),
            "eigenvalue_error": check.eigenvalue_error,
            "singular_error": check.singular_error,
            "condition": _finite(check.condition),
            "matched": check.is_matched,
            "good": check.is_good,
        }
    row["remark"] = result.remark or None
    return row


def compared(findings: list[SpectrumReport]) -> list[dict[str, Any]]:
    """Return what changed from the first checkpoint to the second, a document a layer."""
    from polyroots.spectra import moved

    first, second = (item.results for item in findings)
    rows = []
    for name in dict.fromkeys([*first, *second]):
        a, b = first.get(name), second.get(name)
        row: dict[str, Any] = {"name": name, "reason": None, "mean_moved": None, "max_moved": None}
        if a is None or b is None:
            row["reason"] = f"only in {findings[0 if b is None else 1].path}"
        else:
            for what in ("radius", "min_real", "max_real", "max_imag"):
                row[what] = [None if x.ends is None else _finite(getattr(x.ends, what)) for x in (a, b)]
            row["norm"] = [None if x.singular is None else _finite(x.singular.norm) for x in (a, b)]
            if a.spectrum is not None and b.spectrum is not None:
                try:
                    distances = moved(a.spectrum, b.spectrum)
                    row |= {"mean_moved": float(distances.mean()), "max_moved": float(distances.max())}
                except InputError as error:
                    row["reason"] = str(error)
            elif a.ends is not None and b.ends is not None:
                row["reason"] = "how far they moved is known where all eigenvalues are computed"
        rows.append(row)
    return rows


def largest_condition(result: LayerResult) -> float:
    """Largest known eigenvalue condition; NaN without one."""
    if result.spectrum is not None and result.spectrum.conditions is not None:
        return float(result.spectrum.conditions.max())
    if result.extremes is not None:
        known = [float(x) for end in result.extremes.ends.values() for x in end.conditions if not math.isnan(x)]
        return max(known, default=math.nan)
    return math.nan


def largest_error(result: LayerResult) -> float:
    """Largest estimated error of an eigenvalue; NaN where none is known."""
    if result.spectrum is None or result.spectrum.errors is None:
        return math.nan
    return float(result.spectrum.errors.max())


def departure(result: LayerResult) -> float:
    """Henrici's departure from normality; NaN without all eigenvalues."""
    from polyroots.spectra import departure_from_normality

    return math.nan if result.spectrum is None else departure_from_normality(result.spectrum)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
