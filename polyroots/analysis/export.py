"""Spectra in ``.npz`` and CSV files."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from polyroots.analysis.layers import LayerResult
from polyroots.files import reading_archive, replacing
from polyroots.limits import MOST_ENTRIES, require_at_most
from polyroots.spectra import End, Extremes, Spectrum, SpectrumSample

_COLUMNS = ("layer", "kind", "theta_y", "theta_x", "real", "imag", "condition", "converged")


@dataclass(frozen=True, eq=False)
class SavedLayer:
    """Values of a layer in a file of `save_results`; those that weren't computed are None.

    Attributes
    ----------
    spectrum : Spectrum or None
        All eigenvalues.
    extremes : Extremes or None
        The ends of the spectrum, instead of all eigenvalues.
    sigma : (N,) float64 or None
        All singular values, descending.
    largest : (k,) float64 or None
        The largest singular values that converged, instead of all.
    sample : SpectrumSample or None
        The eigenvalues at some frequencies, instead of all.
    """

    spectrum: Spectrum | None = None
    extremes: Extremes | None = None
    sigma: Float64[np.ndarray, "N"] | None = None
    largest: Float64[np.ndarray, "k"] | None = None
    sample: SpectrumSample | None = None


def save_results(path: str | Path, results: Mapping[str, LayerResult]) -> None:
    """Write the results of layers to an ``.npz`` file; a failure leaves an existing file unchanged.

    The array ``names`` lists the layers; the names of the i-th layer's arrays begin with ``i.``, such as
    ``0.spectrum.values`` and ``0.sigma``.

    Parameters
    ----------
    path : str or Path
    results : mapping of str to LayerResult

    Raises
    ------
    FileError
        If the file can't be written.

    See Also
    --------
    load_results
    """
    arrays: dict[str, Any] = {"names": np.array(json.dumps(list(results)))}
    for number, result in enumerate(results.values()):
        if result.spectrum is not None:
            arrays |= _prefixed(f"{number}.spectrum", result.spectrum.to_arrays())
        if result.sample is not None:
            arrays |= _prefixed(f"{number}.sample", result.sample.to_arrays())
        if result.extremes is not None:
            arrays[f"{number}.extremes.about"] = np.array(
                json.dumps([result.extremes.is_exact, result.extremes.method, int(result.extremes.k)])
            )
            for name, end in result.extremes.ends.items():
                parts = {part.name: getattr(end, part.name) for part in fields(End)}
                arrays |= _prefixed(
                    f"{number}.extremes.{name}", {part: value for part, value in parts.items() if value is not None}
                )
        if result.sigma is not None:
            arrays[f"{number}.sigma"] = result.sigma
        if result.largest is not None:
            arrays[f"{number}.largest"] = result.largest.values[result.largest.converged]
    with replacing(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **arrays)


def load_results(path: str | Path) -> dict[str, SavedLayer]:
    """Return the values by layer in a file of ``polyroots spectrum --save`` or `save_results`.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    dict of str to SavedLayer

    Raises
    ------
    FileError
        If the file is missing, damaged, or of another kind.

    See Also
    --------
    polyroots.Spectrum.load : one spectrum

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import polyroots as pr
    >>> found = pr.model_spectra(pr.models.build("q2", image_size=8, channels=[4]), 8)
    >>> with TemporaryDirectory() as directory:
    ...     save_results(Path(directory) / "spectra.npz", found.layers)
    ...     saved = pr.load_results(Path(directory) / "spectra.npz")
    >>> saved["levels.0.A.weight"].spectrum.size
    (8, 8)
    """
    with reading_archive(path, "holds no layers", "'polyroots spectrum --save'"):
        with np.load(path, allow_pickle=False) as archive:
            arrays = dict(archive)
        names = json.loads(str(arrays["names"]))
        require_at_most(path, len(names), "layers", MOST_ENTRIES)
        by_number: dict[str, dict[str, Any]] = {}
        for name, value in arrays.items():
            number, _, part = name.partition(".")
            by_number.setdefault(number, {})[part] = value
        return {name: _layer(by_number.get(str(number), {})) for number, name in enumerate(names)}


def write_csv(path: str | Path, results: Mapping[str, LayerResult]) -> None:
    """Write a CSV file with one line for each eigenvalue and singular value.

    Columns: layer; kind (``eigenvalue``, ``sample``, ``singular``, or the end of the spectrum such as ``max_real``);
    theta_y and theta_x in radians, empty with zero padding; real and imaginary part; condition; converged (1 or 0).
    """
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(_COLUMNS)
        for name, result in results.items():
            if result.spectrum is not None:
                Lambda = result.spectrum
                converged = np.ones(len(Lambda), dtype=bool)
                writer.writerows(
                    _rows(name, "eigenvalue", Lambda.values, Lambda.frequencies, Lambda.conditions, converged)
                )
            if result.sample is not None:
                sample = result.sample
                converged = np.ones(len(sample), dtype=bool)
                writer.writerows(_rows(name, "sample", sample.values, sample.frequencies, None, converged))
            if result.extremes is not None:
                for where, end in result.extremes.ends.items():
                    writer.writerows(_rows(name, where, end.values, end.frequencies, end.conditions, end.converged))
            if result.sigma is not None:
                converged = np.ones(len(result.sigma), dtype=bool)
                writer.writerows(_rows(name, "singular", result.sigma, None, None, converged))
            if result.largest is not None:
                writer.writerows(_rows(name, "singular", result.largest.values, None, None, result.largest.converged))


def _rows(
    name: str,
    kind: str,
    values: NDArray[Any],
    frequencies: NDArray[np.float64] | None,
    conditions: NDArray[np.float64] | None,
    converged: NDArray[np.bool_],
) -> zip[tuple[Any, ...]]:
    """Return the lines of a layer's values of one kind."""
    empty = [""] * len(values)
    theta = [empty, empty] if frequencies is None else [_plain(frequencies[:, 0]), _plain(frequencies[:, 1])]
    imaginary = _plain(values.imag) if np.iscomplexobj(values) else empty
    condition = empty if conditions is None else ["" if np.isnan(value) else value for value in conditions.tolist()]
    converged_flags = converged.astype(int).tolist()
    names, kinds = [name] * len(values), [kind] * len(values)
    return zip(names, kinds, *theta, _plain(values.real), imaginary, condition, converged_flags, strict=True)


def _plain(column: NDArray[Any]) -> list[float]:
    return (column + 0.0).tolist()  # no -0.0


def _prefixed(prefix: str, arrays: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{prefix}.{name}": value for name, value in arrays.items()}


def _below(arrays: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(f"{prefix}."): value for name, value in arrays.items() if name.startswith(f"{prefix}.")}


def _layer(arrays: Mapping[str, Any]) -> SavedLayer:
    spectrum, extremes, sample = (_below(arrays, part) for part in ("spectrum", "extremes", "sample"))
    return SavedLayer(
        spectrum=Spectrum.from_arrays(spectrum) if spectrum else None,
        extremes=_extremes(extremes) if extremes else None,
        sigma=arrays.get("sigma"),
        largest=arrays.get("largest"),
        sample=SpectrumSample.from_arrays(sample) if sample else None,
    )


def _extremes(arrays: dict[str, Any]) -> Extremes:
    is_exact, method, count = json.loads(str(arrays.pop("about")))
    ends: dict[str, dict[str, Any]] = {}
    for name, value in arrays.items():
        end, part = name.split(".")
        ends.setdefault(end, {"frequencies": None})[part] = float(value) if part == "supremum" else value
    return Extremes({name: End(**parts) for name, parts in ends.items()}, is_exact, method, count)
