"""What ``polyroots spectrum`` prints: tables for people, one document for programs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyroots.errors import InputError
from polyroots.operators import require_finite

from .console import dimensions, number, say, table

if TYPE_CHECKING:
    from polyroots.checkpoint import LayerSet
    from polyroots.extremes import Extremes
    from polyroots.layers import Analysis, Layer, LayerResult
    from polyroots.verify import Verification


@dataclass
class Findings:
    """A checkpoint, its chosen layers, and what was computed of them."""

    path: Path
    found: LayerSet
    layers: list[Layer]
    skipped: dict[str, str]
    size_given: bool
    results: dict[str, LayerResult] = field(default_factory=dict)
    checks: dict[str, Verification] = field(default_factory=dict)

    def require_layers(self) -> None:
        """Raise InputError, with every reason, if no layer is left to analyse."""
        if not self.layers:
            reasons = "; ".join(f"{name} ({reason})" for name, reason in self.skipped.items())
            raise InputError(f"{self.path} holds nothing to analyse: {reasons}")

    def require_finite(self) -> None:
        """Raise InputError, with the layer's name, if weights are not finite: before anything is computed."""
        for layer in self.layers:
            require_finite(layer.read(), layer.name)


def print_list(findings: list[Findings]) -> None:
    """Print the convolutions of each checkpoint and why others are skipped."""
    for item in findings:
        if len(findings) > 1:
            say(f"\n{item.path}")
        rows = table("convolution", "shape", "dtype", "size", "stride", "dilation", "groups", "padding")
        for layer in item.layers:
            conv = layer.conv
            rows.add_row(
                layer.name,
                dimensions(layer.shape),
                layer.dtype,
                dimensions(conv.size),
                dimensions(conv.stride),
                dimensions(conv.dilation),
                str(conv.groups),
                conv.padding or "unknown",
            )
        if item.layers:
            say(rows)
        _print_remarks(item)


def print_findings(findings: list[Findings], analysis: Analysis) -> None:
    """Print what was computed: of two checkpoints side by side, with what moved."""
    for item in findings:
        if len(findings) > 1:
            say(f"\n{item.path}")
        results = [result for result in item.results.values() if result.ends is not None]
        if results:
            _print_eigenvalues(results)
        for result in results:
            if analysis.extremes and result.extremes is not None:
                _print_ends(result.name, result.extremes)
        singular = [result for result in item.results.values() if result.singular is not None]
        if singular:
            _print_singular_values(singular)
        if item.checks:
            _print_checks(item.checks)
        _print_boundary(item, analysis)
        _print_remarks(item)
    if len(findings) == 2:
        _print_comparison(compared(findings))


def _print_eigenvalues(results: list[LayerResult]) -> None:
    has_conditions = any(result.padding == "zeros" for result in results)
    has_departures = not has_conditions and any(result.spectrum is not None for result in results)
    rows = table(
        "convolution",
        "shape",
        "size",
        "eigenvalues",
        "radius",
        "min Re",
        "max Re",
        "max Im",
        *(["condition"] if has_conditions else []),
        *(["departure"] if has_departures else []),
    )
    for result in results:
        ends = result.ends
        assert ends is not None
        rows.add_row(
            result.name,
            dimensions(result.layer.shape),
            dimensions(result.layer.conv.size),
            f"{result.layer.unknowns:,}" if result.spectrum is not None else f"ends of {result.layer.unknowns:,}",
            _known(ends.radius),
            *(_known(value, ends.radius) for value in (ends.min_real, ends.max_real, ends.max_imag)),
            *([_known(_condition(result))] if has_conditions else []),
            *([_known(_departure(result))] if has_departures else []),
        )
    say(rows)
    if has_conditions:
        say("condition: largest 1 / |y* x| of an eigenvalue.")
    if has_departures:
        say("departure: Henrici's from normality, relative; 0 is normal.")
    for method in dict.fromkeys(r.extremes.method for r in results if r.extremes is not None):
        say(method)
    for result in results:
        missing = _unconverged(result)
        if missing:
            say(f"{result.name}: {missing}")


def _print_ends(name: str, extremes: Extremes) -> None:
    ends = extremes.ends.values()
    is_fourier = all(end.frequencies is not None for end in ends)
    details = ("theta y", "theta x") if is_fourier else ("residual", "condition", "converged")
    rows = table(name, "eigenvalue", *details)
    for where, end in extremes.ends.items():
        for k, value in enumerate(end.values):
            if end.frequencies is not None:
                columns = [f"{angle:.4f}" for angle in end.frequencies[k]]
            else:
                residual, condition = float(end.residuals[k]), float(end.conditions[k])
                columns = [
                    "-" if math.isnan(residual) else f"{residual:.1e}",
                    _known(condition),
                    "yes" if end.converged[k] else "NO",
                ]
            rows.add_row(where.replace("_", " "), _complex(complex(value), extremes.radius), *columns)
        if not math.isnan(end.supremum):
            rows.add_row("  on any image", number(end.supremum, extremes.radius))
    say(rows)


def _print_singular_values(results: list[LayerResult]) -> None:
    rows = table(
        "convolution", "shape", "size", "stride", "singular values", "norm", "smallest", "condition", "stable rank"
    )
    for result in results:
        summary, conv = result.singular, result.layer.conv
        assert summary is not None
        count = len(result.sigma) if result.sigma is not None else None
        rows.add_row(
            result.name,
            dimensions(result.layer.shape),
            dimensions(conv.size),
            dimensions(conv.stride),
            "largest only" if count is None else f"{count:,}",
            _known(summary.norm),
            _known(summary.smallest, summary.norm),
            _known(summary.condition),
            _known(summary.stable_rank),
        )
    say(rows)
    say("stable rank: squared Frobenius norm / squared spectral norm.")


def _print_checks(checks: dict[str, Verification]) -> None:
    rows = table("compared with torch", "kernel", "on", "eigenvalues", "singular values", "condition", "verdict")
    for name, check in checks.items():
        rows.add_row(
            name,
            dimensions(check.shape),
            dimensions(check.size),
            *("" if x is None else f"{x:.1e}" for x in (check.eigenvalue_error, check.singular_error)),
            "" if check.condition is None else number(check.condition),
            "equal to rounding" if check.is_good else "DIFFERENT",
        )
    say(rows)
    say("Matched error, relative to the largest modulus, against the explicit matrix that torch's conv2d gives.")


def _print_boundary(item: Findings, analysis: Analysis) -> None:
    if not item.results:
        return
    own = {result.layer.conv.padding for result in item.results.values()}
    remark = ""
    if own == {analysis.padding}:
        remark = ", as in the network"
    elif own != {None}:
        others = " and ".join(sorted({"zeros": "with zeros"}.get(str(name), str(name)) for name in own))
        remark = f"; the network itself pads {others}, where the spectrum can differ"
    say(f"{'Zero' if analysis.padding == 'zeros' else 'Circular'} padding{remark}.")


def _print_remarks(item: Findings) -> None:
    found = item.found
    if found.entry:
        others = f"; {', '.join(found.others)} hold others" if found.others else ""
        say(f"Read from the entry {found.entry!r} of the file{others}.")
    if found.assumed:
        size = "" if item.size_given else "size 32x32 (give --size), "
        say(
            f"This checkpoint doesn't say how its layers are used: {size}stride 1, dilation 1 and groups 1 are assumed."
        )
        for note, meaning in (
            ("depthwise", "Assumed to be depthwise, one group a channel"),
            ("perhaps depthwise", "Assumed to have one input channel, though it could be depthwise"),
        ):
            names = [layer.name for layer in item.found.layers if layer.note == note]
            if names:
                say(f"{meaning}: {', '.join(names)}")
    for result in item.results.values():
        if result.remark:
            say(f"{result.name}: {result.remark}")
    if item.skipped:
        say(f"Skipped {len(item.skipped)}:")
        for name, reason in item.skipped.items():
            say(f"  {name}: {reason}")


def compared(findings: list[Findings]) -> list[dict[str, Any]]:
    """Return what changed from the first checkpoint to the second, a document a layer."""
    from polyroots.compare import moved

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
        rows.append(row)
    return rows


def _print_comparison(rows: list[dict[str, Any]]) -> None:
    say("\nFrom the first to the second")
    result = table("convolution", "radius", "min Re", "max Re", "max Im", "norm", "moved, mean", "moved, max")
    for row in rows:
        if "radius" in row:
            pairs = [row[what] for what in ("radius", "min_real", "max_real", "max_imag", "norm")]
            scale = max((abs(x) for x in row["radius"] if x is not None), default=0.0)
            result.add_row(
                row["name"],
                *("" if None in pair else " -> ".join(number(x, scale) for x in pair) for pair in pairs),
                *("" if row[what] is None else number(row[what], scale) for what in ("mean_moved", "max_moved")),
            )
        else:
            result.add_row(row["name"])
    say(result)
    say("moved: distance of each eigenvalue from its partner in the best matching, frequency by frequency.")
    for row in rows:
        if row["reason"]:
            say(f"  {row['name']}: {row['reason']}")


def list_document(findings: list[Findings]) -> dict[str, Any]:
    """Return the lists of convolutions, for JSON."""
    return _join([_head(item) | {"layers": [_geometry(layer) for layer in item.layers]} for item in findings])


def document(findings: list[Findings], analysis: Analysis) -> dict[str, Any]:
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


def _head(item: Findings) -> dict[str, Any]:
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
            "departure": _finite(_departure(result)),
            "condition": _finite(_condition(result)),
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
            "good": check.is_good,
        }
    row["remark"] = result.remark or None
    return row


def _condition(result: LayerResult) -> float:
    """Largest known eigenvalue condition; NaN without one."""
    if result.spectrum is not None and result.spectrum.conditions is not None:
        return float(result.spectrum.conditions.max())
    if result.extremes is not None:
        known = [float(x) for end in result.extremes.ends.values() for x in end.conditions if not math.isnan(x)]
        return max(known, default=math.nan)
    return math.nan


def _departure(result: LayerResult) -> float:
    from polyroots.nonnormal import departure_from_normality

    return math.nan if result.spectrum is None else departure_from_normality(result.spectrum)


def _unconverged(result: LayerResult) -> str:
    """Which ends have values that did not converge; empty if all did."""
    if result.extremes is None:
        return ""
    parts = []
    for name, end in result.extremes.ends.items():
        open_ones = end.residuals[~end.converged]
        if len(open_ones):
            parts.append(
                f"{len(open_ones)} of {len(end.values)} at {name.replace('_', ' ')} (residual {open_ones.max():.1e})"
            )
        elif not len(end.values):
            parts.append(f"all at {name.replace('_', ' ')}")
    return f"not converged, and left out above: {', '.join(parts)}" if parts else ""


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _known(value: float, scale: float = 0.0) -> str:
    """Write a number; what is not known is a dash."""
    return "-" if math.isnan(value) else "inf" if math.isinf(value) else number(value, scale)


def _complex(value: complex, scale: float) -> str:
    if abs(value.imag) <= 1e-13 * scale:
        return number(value.real, scale)
    return f"{number(value.real, scale)} {'+' if value.imag > 0 else '-'} {number(abs(value.imag), scale)}i"
