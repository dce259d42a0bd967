"""The pictures of ``polyroots spectrum --plot``."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from polyroots.analysis import CONFIDENCE
from polyroots.errors import FileError
from polyroots.plotting import draw_overview, draw_singular_values, draw_spectrum, literal, save_figure
from polyroots.spectra import numerical_range
from polyroots.tables import dimensions
from polyroots.text import count_of, shortened
from polyroots_cli.console import progress

if TYPE_CHECKING:
    from polyroots.analysis import LayerResult
    from polyroots.spectra import Spectrum

# Directions of the numerical range's boundary: its polygon is within 1/800 of the range.
_ANGLES = 64

# Largest number of multiplications for a direction, which take half a minute for all: for larger layers only a part of
# the frequencies is used.
_AFFORDABLE = 2 * 10**9


def draw_all(results: dict[str, LayerResult], directory: Path, title: str, workers: int | None) -> None:
    """Draw each layer's eigenvalues with their numerical range, and one overview of all layers.

    Raises
    ------
    FileError
        If some of them can't be drawn or written, after the others are.
    """
    pictures: dict[str, Callable[[], object]] = {
        name: partial(_draw_layer, directory / file_stem(name, number), name, result, workers)
        for number, (name, result) in enumerate(results.items(), 1)
    }
    pictures["the overview"] = lambda: save_figure(draw_overview(results, title), directory / "overview")
    failed: dict[str, Exception] = {}
    with progress() as bar:
        task = bar.add_task("pictures", total=len(pictures))
        for name, draw in pictures.items():
            try:
                draw()
            except (OSError, ValueError, RuntimeError, ArithmeticError) as error:
                failed[name] = error
            bar.advance(task)
    if failed:
        name, first = next(iter(failed.items()))
        raise FileError(
            f"{count_of(len(failed), 'picture')} of {len(pictures)} can't be drawn, the others are in {directory}: "
            f"{shortened(name, 60)}: {first}"
        ) from first


def _draw_layer(stem: Path, name: str, result: LayerResult, workers: int | None) -> None:
    conv = result.layer.conv
    title = literal(f"{name.removesuffix('.weight')}, {dimensions(result.layer.shape)} at {dimensions(conv.size)}")
    if result.spectrum is not None:
        every = 1 + _multiplications(result.spectrum) // _AFFORDABLE
        boundary = numerical_range(result.spectrum, _ANGLES, every=every, workers=workers).points
        label = "numerical range" if every == 1 else f"numerical range, 1/{every} of the frequencies"
        figure = draw_spectrum(result.spectrum, title, numerical_range=boundary, range_label=label)
        save_figure(figure, stem)
    elif result.sample is not None:
        sample = result.sample
        remark = (
            f"{sample.solved:,} of {sample.total:,} frequencies; shares in a region are known to "
            f"{sample.share_error(CONFIDENCE):.2f} ({CONFIDENCE:.0%})"
        )
        save_figure(draw_spectrum(sample, title, remark=remark), stem)
    elif result.extremes is not None:
        values = np.concatenate([end.values[end.converged] for end in result.extremes.ends.values()])
        if len(values):
            remark = f"{result.extremes.k} at each end; all others are left out"
            values = np.unique(np.concatenate([values, values.conj()]) + 0.0)
            save_figure(draw_spectrum(values, title, remark=remark), stem)

    if result.sigma is not None:
        only = result.ends is None
        save_figure(
            draw_singular_values(result.sigma, title), stem if only else stem.with_name(f"{stem.name}-singular")
        )


def _multiplications(spectrum: Spectrum) -> int:
    """Count the multiplications of one Cholesky factorisation at half of the frequencies."""
    if spectrum.padding == "zeros":
        return 0
    H, W = spectrum.convolution.period
    groups, rows, _, _, _ = spectrum.convolution.kernels.shape
    return H * W // 2 * groups * rows**3 // 3


def file_stem(name: str, number: int) -> str:
    """Return a file name for a layer: its own where that can be one, else with its number to keep it apart."""
    # File systems count bytes, of which a letter may take four.
    plain = re.sub(r"[^\w.-]", "_", name).encode()[:120].decode(errors="ignore")
    is_free = name and plain == name and not name.startswith(".") and name != "overview"
    return plain if is_free else f"{number}-{plain}"
