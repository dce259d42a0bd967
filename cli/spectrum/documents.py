"""The JSON documents of ``polyroots spectrum``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from polyroots.analysis import CONFIDENCE, LEVELS, departure, largest_condition, largest_error
from polyroots.errors import InputError
from polyroots.files import without_infinity
from polyroots.spectra import PARTS, moved, singular_values_of
from polyroots_cli.spectrum.effective import levels_document
from polyroots_cli.spectrum.findings import SpectrumReport

if TYPE_CHECKING:
    from polyroots.analysis import Analysis, Layer, LayerResult, Verification
    from polyroots.spectra import Extremes, SpectrumSample

# Modules that hold a network, at the beginning of the names of its layers.
_PREFIXES = re.compile(r"^((module|_orig_mod|_fsdp_wrapped_module|model|net|backbone)\.)+")
_ENDS = ("radius", "min_real", "max_real", "max_imag")


def list_document(findings: list[SpectrumReport]) -> dict[str, Any]:
    """Return the lists of convolutions, for JSON."""
    return _join([_head(item) | {"layers": [_geometry(layer) for layer in item.layers]} for item in findings])


def document(findings: list[SpectrumReport], analysis: Analysis) -> dict[str, Any]:
    """Return all results except the values themselves, for JSON."""
    documents = [
        _head(item)
        | {
            "padding": analysis.padding,
            "layers": [_layer_document(result, item.checks.get(name)) for name, result in item.results.items()],
            **({"levels": levels_document(item.levels)} if item.levels else {}),
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
        "remark": item.found.remark or None,
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
            **{what: getattr(result.ends, what) for what in _ENDS},
            "departure": departure(result),
            "condition": largest_condition(result),
            "error": largest_error(result),
        }
    if result.sample is not None:
        row["sample"] = _sample(result.sample)
    if result.extremes is not None:
        row |= _extremes(result.extremes)
    if result.singular is not None:
        summary = result.singular
        row |= {
            "singular_values": None if result.sigma is None else len(result.sigma),
            "norm": summary.norm,
            "smallest": summary.smallest,
            "condition_number": summary.condition,
            "stable_rank": summary.stable_rank,
        }
    if check is not None:
        row["verification"] = {
            "size": list(check.size),
            "shape": list(check.shape),
            "eigenvalue_error": check.eigenvalue_error,
            "singular_error": check.singular_error,
            "condition": check.condition,
            "matched": check.is_matched,
            "good": check.is_good,
        }
    row["remark"] = result.remark or None
    return without_infinity(row)


def _sample(sample: SpectrumSample) -> dict[str, Any]:
    """Return the document of the quantiles that a sample gives."""
    return {
        "frequencies": sample.solved,
        "of": sample.total,
        "confidence": CONFIDENCE,
        "share_error": sample.share_error(CONFIDENCE),
        "quantiles": {
            part: [quantile._asdict() for quantile in sample.quantiles(LEVELS, part, CONFIDENCE)] for part in PARTS
        },
    }


def _extremes(extremes: Extremes) -> dict[str, Any]:
    """Return the document of the eigenvalues at each end."""
    ends = {
        name: [
            {
                "real": float(end.values[k].real),
                "imag": float(end.values[k].imag),
                "frequency": None if end.frequencies is None else end.frequencies[k].tolist(),
                "residual": float(end.residuals[k]),
                "condition": float(end.conditions[k]),
                "converged": bool(end.converged[k]),
            }
            for k in range(len(end.values))
        ]
        for name, end in extremes.ends.items()
    }
    suprema = {name: end.supremum for name, end in extremes.ends.items()}
    return {"method": extremes.method, "extremes": ends, "suprema": suprema}


def compared(findings: list[SpectrumReport]) -> list[dict[str, Any]]:
    """Return the changes from the first checkpoint to the second, one document for each layer."""
    first, second = matched_by_name([item.results for item in findings])
    rows = []
    for name in dict.fromkeys([*first, *second]):
        row: dict[str, Any] = {"name": name, "reason": None, "mean_moved": None, "max_moved": None}
        if name in first and name in second:
            row |= _change(first[name], second[name])
        else:
            row["reason"] = f"only in {findings[name not in first].path}"
        rows.append(without_infinity(row))
    return rows


def matched_by_name(results: list[dict[str, LayerResult]]) -> list[dict[str, LayerResult]]:
    """Return the results of two checkpoints under equal names, without prefixes such as ``backbone.`` where unique.

    A name that both have stays. One that only the second has becomes that of the first which has the same rest.
    """
    first, second = results
    rests = [[_PREFIXES.sub("", name) for name in part if name not in set(first) & set(second)] for part in results]
    lone = {rest for rest in rests[0] if all(part.count(rest) == 1 for part in rests)}
    names = {_PREFIXES.sub("", name): name for name in first if name not in second}
    renamed = {
        name: names[_PREFIXES.sub("", name)] if name not in first and _PREFIXES.sub("", name) in lone else name
        for name in second
    }
    return [first, {renamed[name]: result for name, result in second.items()}]


def _norm(result: LayerResult) -> float | None:
    """Return the norm of a layer's operator; None where neither singular values nor all eigenvalues were computed."""
    if result.singular is not None:
        return result.singular.norm
    if result.spectrum is None:
        return None
    return float(singular_values_of(result.spectrum.convolution)[0])


def _change(a: LayerResult, b: LayerResult) -> dict[str, Any]:
    """Return the change from one result of a layer to another: pairs of values, and distances of the eigenvalues."""
    row: dict[str, Any] = {what: [None if x.ends is None else getattr(x.ends, what) for x in (a, b)] for what in _ENDS}
    row["norm"] = [_norm(x) for x in (a, b)]
    if a.spectrum is not None and b.spectrum is not None:
        try:
            distances = moved(a.spectrum, b.spectrum)
            row |= {"mean_moved": float(distances.mean()), "max_moved": float(distances.max())}
        except InputError as error:
            row["reason"] = str(error)
    elif a.ends is not None and b.ends is not None:
        part = "extremes" if a.sample is None and b.sample is None else "a sample"
        row["reason"] = f"the distances need all eigenvalues of both checkpoints; these are {part}"
    return row
