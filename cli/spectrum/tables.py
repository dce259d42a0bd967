"""The tables of ``polyroots spectrum``."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

from polyroots.analysis import eigenvalues_table, largest_error, quantiles_table, singular_values_table
from polyroots.tables import dimensions, known, number, table
from polyroots_cli.console import say
from polyroots_cli.spectrum.documents import compared
from polyroots_cli.spectrum.effective import print_levels
from polyroots_cli.spectrum.findings import SpectrumReport, hints, notes_of, origin_of_layers

if TYPE_CHECKING:
    from polyroots.analysis import Analysis, Layer, LayerResult, Verification
    from polyroots.spectra import Extremes


# Estimated errors above this are printed; relative to the radius.
_DOUBTFUL = 1e-6


def print_list(findings: list[SpectrumReport]) -> None:
    """Print the convolutions of each checkpoint and why others are skipped."""
    for item in findings:
        if len(findings) > 1:
            say(f"\n{item.path}")
        columns = ("convolution", "shape", "dtype", "size", "stride", "dilation", "groups", "padding")
        rows = table(*columns, less_important=("dtype", "padding", "dilation", "shape"))
        for layer in item.layers:
            conv = layer.conv
            rows.add_row(
                _marked(layer),
                dimensions(layer.shape),
                layer.dtype,
                _size(item, layer),
                dimensions(conv.stride),
                dimensions(conv.dilation),
                str(conv.groups),
                conv.padding or "unknown",
            )
        if item.layers:
            say(rows)
        _print_remarks(item)


def print_findings(findings: list[SpectrumReport], analysis: Analysis) -> None:
    """Print the results; those of two checkpoints side by side, with the distances between their eigenvalues."""
    for item in findings:
        if len(findings) > 1:
            say(f"\n{item.path}")
        results = [result for result in item.results.values() if result.ends is not None]
        if results:
            _print_eigenvalues(item, results, analysis)
        singular = [result for result in item.results.values() if result.singular is not None]
        if singular:
            _print_singular_values(item, singular)
        if item.checks:
            _print_checks(item.checks, analysis, is_assumed=item.found.assumed)
        _print_boundary(item, analysis)
        if item.levels:
            print_levels(item.levels)
        _print_remarks(item)
    if len(findings) == 2:
        _print_comparison(compared(findings))


def _size(item: SpectrumReport, layer: Layer) -> str:
    """Return the grid of a layer, which a state dict doesn't contain."""
    is_assumed = item.found.assumed and not item.size_given
    return f"{'at an assumed ' if is_assumed else ''}{dimensions(layer.conv.size)}"


def _marked(layer: Layer) -> str:
    """Return a layer's name, with a question mark where its geometry is doubtful."""
    return f"{layer.name} ?" if "perhaps" in layer.note else layer.name


def _print_eigenvalues(item: SpectrumReport, results: list[LayerResult], analysis: Analysis) -> None:
    rows, lines = eigenvalues_table(results, _marked, partial(_size, item))
    say(rows, *lines)
    for method in dict.fromkeys(r.extremes.method for r in results if r.extremes is not None):
        say(method)
    for result in results:
        error = largest_error(result)
        if result.ends is not None and error > _DOUBTFUL * result.ends.radius:
            say(f"{result.name}: far from normal, its eigenvalues are known to about {error:.0e} only")
        missing = _unconverged(result)
        if missing:
            say(f"{result.name}: {missing}")
    for result in results:
        if result.sample is not None:
            rows, lines = quantiles_table(result)
            say(rows, *lines)
        if analysis.k and result.extremes is not None:
            _print_ends(result.name, result.extremes)


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
                    known(condition),
                    "yes" if end.converged[k] else "NO",
                ]
            rows.add_row(where.replace("_", " "), _complex(complex(value), extremes.radius), *columns)
        if not math.isnan(end.supremum):
            rows.add_row("  on any image", number(end.supremum, extremes.radius))
    say(rows)


def _print_singular_values(item: SpectrumReport, results: list[LayerResult]) -> None:
    rows, lines = singular_values_table(results, _marked, partial(_size, item))
    say(rows, *lines)


def _print_checks(checks: dict[str, Verification], analysis: Analysis, *, is_assumed: bool) -> None:
    columns = ("kernel", "on", "eigenvalues", "singular values", "condition", "verdict")
    rows = table("compared with torch", *columns, less_important=("kernel", "on", "condition"))
    for name, check in checks.items():
        rows.add_row(
            name,
            dimensions(check.shape),
            dimensions(check.size),
            *("" if x is None else f"{x:.1e}" for x in (check.eigenvalue_error, check.singular_error)),
            "" if check.condition is None else number(check.condition),
            ("equal to rounding" if check.is_matched else "too ill-conditioned") if check.is_good else "DIFFERENT",
        )
    say(rows)
    how = ", in double precision" if analysis.precision == "single" else ""
    what = ": not size, stride, dilation and groups, which are assumed" if is_assumed else ""
    say("Matched error, relative to the norm, against the explicit matrix that torch's conv2d gives.")
    say(f"This checks the arithmetic on a small grid{how}{what}.")
    if any(check.is_good and not check.is_matched for check in checks.values()):
        say(
            "Too ill-conditioned to be matched: each value is an eigenvalue of a matrix within 1e-11, the traces agree."
        )


def _print_boundary(item: SpectrumReport, analysis: Analysis) -> None:
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


def _print_assumptions(item: SpectrumReport) -> None:
    size = "" if item.size_given else "size 32x32 (give --size), "
    are_all = all((x.conv.stride, x.conv.dilation, x.conv.groups) == ((1, 1), (1, 1), 1) for x in item.found.layers)
    rest = "" if are_all else " where no others are given or follow from the layers around"
    values = f"{size}stride 1, dilation 1 and groups 1"
    say(f"This checkpoint doesn't say how its layers are used: {values} are assumed{rest}.")
    named = {layer.name: layer for layer in [*item.layers, *(x for x in item.found.layers if x.name in item.skipped)]}
    say(*notes_of((layer.name, layer.note) for layer in named.values()))


def _print_remarks(item: SpectrumReport) -> None:
    found = item.found
    say(*origin_of_layers(found))
    if found.assumed:
        _print_assumptions(item)
    for glob in item.unmatched:
        say(f"No convolution is named like {glob}")
    for result in item.results.values():
        if result.remark:
            say(f"{result.name}: {result.remark}")
    if item.skipped:
        say(f"Skipped {len(item.skipped)}:")
        for name, reason in item.skipped.items():
            say(f"  {name}: {reason}")
    for hint in hints(item):
        say(hint)


def _print_comparison(rows: list[dict[str, Any]]) -> None:
    say("\nFrom the first to the second")
    columns = ("radius", "min Re", "max Re", "max Im", "norm", "mean move", "max move")
    result = table("convolution", *columns, less_important=("min Re", "max Im", "mean move", "max Re"))
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
    say("mean move, max move: of each eigenvalue to its partner in the best matching, frequency by frequency.")
    for row in rows:
        if row["reason"]:
            say(f"  {row['name']}: {row['reason']}")


def _unconverged(result: LayerResult) -> str:
    """Return a sentence on the ends with values that did not converge; empty if all did."""
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


def _complex(value: complex, scale: float) -> str:
    if abs(value.imag) <= 1e-13 * scale:
        return number(value.real, scale)
    return f"{number(value.real, scale)} {'+' if value.imag > 0 else '-'} {number(abs(value.imag), scale)}i"
