"""The spectra of a network's convolutions, layer by layer."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64, Shaped
from torch import Tensor, nn

from polyroots.analysis.tables import ModelSpectra
from polyroots.arguments import whole
from polyroots.errors import InputError, unknown_name
from polyroots.models import TracedConvolution, record_convolutions, trace_convolutions, unwrapped
from polyroots.spectra import (
    DENSE_LIMIT,
    PADDINGS,
    Convolution,
    Extremes,
    LargestSingularValues,
    SingularSummary,
    Spectrum,
    SpectrumSample,
    eigenvalues_of,
    extreme_eigenvalues_of,
    fits,
    has_symbol,
    is_direct,
    largest_singular_values,
    sample_eigenvalues_of,
    single_precision_error,
    singular_values_of,
    summarize,
)
from polyroots.text import listed, quoted, shortened
from polyroots.threads import Progress

KINDS = ("eigenvalues", "singular", "both")
PRECISIONS = ("double", "single")

#: Number of eigenvalues at each end of an operator that is too large for all of them, unless one is given.
DEFAULT_K = 6


@dataclass(frozen=True)
class Layer:
    """A convolution of a network or a checkpoint, whose weight is read when it is needed.

    Attributes
    ----------
    conv : TracedConvolution
        Name and geometry.
    shape : tuple of int
        Shape of the weight, (c_out, c_in // groups, kh, kw).
    dtype : str
        Type of the weight, such as ``"bfloat16"``.
    read : callable
        Returns the weight.
    note : str
        An assumption about the layer, or the other sizes at which it is used; may be empty.
    """

    conv: TracedConvolution
    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], Any] = field(repr=False)
    note: str = ""

    @property
    def name(self) -> str:
        """Name of the weight in the state dict."""
        return self.conv.name

    @property
    def unknowns(self) -> int:
        """Number of inputs of the operator, channels times pixels."""
        return self.shape[1] * self.conv.groups * math.prod(self.conv.size)

    def convolution(self, padding: str) -> Convolution:
        """Read the weight and return the layer's convolution.

        Raises
        ------
        InputError
            If the weight is not finite.
        """
        return self.conv.convolution(self.read(), padding)


@dataclass(frozen=True)
class Analysis:
    """Settings of the analysis of layers.

    Attributes
    ----------
    padding : ``"circular"``, ``"zeros"`` or ``"own"``
        ``"own"`` is the padding of each layer.
    kind : ``"eigenvalues"``, ``"singular"`` or ``"both"``
    k : int or None
        Number of eigenvalues at each end; None for all eigenvalues if the operator is small enough.
    workers : int or None
        Threads; None for one for each core that this process may use.
    precision : ``"double"`` or ``"single"``
        Of all eigenvalues with circular padding; single takes half of the time and memory. Their error is measured at
        some frequencies, and is part of the remark. Everything else is computed in double precision.
    sample : int or None
        Number of pairs of conjugate frequencies that are drawn where a layer has more; None for all of them.

    Raises
    ------
    InputError
        If a name is unknown, `k` or `sample` is not a positive whole number, or a sample is asked of anything but all
        eigenvalues with circular padding in double precision.
    """

    padding: str = "circular"
    kind: str = "eigenvalues"
    k: int | None = None
    workers: int | None = None
    precision: str = "double"
    sample: int | None = None

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise unknown_name("precision", str(self.precision), PRECISIONS)
        if self.padding not in (*PADDINGS, "own"):
            raise unknown_name("padding", str(self.padding), (*PADDINGS, "own"))
        if self.kind not in KINDS:
            raise unknown_name("kind", str(self.kind), KINDS)
        if self.k is not None and whole(self.k, "k") < 1:
            raise InputError(f"expected k >= 1 eigenvalues at each end, got {self.k}")
        if self.sample is not None:
            self._require_a_sample()

    def _require_a_sample(self) -> None:
        """Raise InputError unless the other settings are those of a sample."""
        assert self.sample is not None
        if whole(self.sample, "sample") < 1:
            raise InputError(f"expected at least one frequency in a sample, got {self.sample}")
        default = Analysis()
        names = ("padding", "kind", "k", "precision")
        others = [name for name in names if getattr(self, name) != getattr(default, name)]
        if others:
            raise InputError(
                "a sample of frequencies is of the eigenvalues with circular padding in double precision; leave the "
                f"sample or {listed(others, separator=' and ')} out",
                fields=["sample", *others],
            )

    def padding_for(self, layer: Layer) -> str:
        """Return the padding with which a layer is analysed."""
        own = layer.conv.padding
        return self.padding if self.padding != "own" else own if own in PADDINGS else "circular"

    def why_not(self, layer: Layer) -> str | None:
        """Return why a layer can't be analysed with these settings; None if it can."""
        if self.kind == "eigenvalues":
            reason = why_no_eigenvalues(layer)
            if reason:
                return f"{reason}; it has singular values"
        own = layer.conv.padding
        if self.padding != "circular" and own not in (None, *PADDINGS):
            return f"its own padding is {own}: neither zeros nor circular with an output of the same size"
        return None


@dataclass(frozen=True, eq=False)
class LayerResult:
    """Eigenvalues and singular values of a layer; those that weren't computed are None.

    Attributes
    ----------
    layer : Layer
    padding : ``"circular"`` or ``"zeros"``
    spectrum : Spectrum or None
        All eigenvalues.
    extremes : Extremes or None
        The ends of the spectrum, instead of all eigenvalues.
    sigma : (N,) float64 or None
        All singular values, descending.
    largest : LargestSingularValues or None
        The largest singular values, instead of all.
    sample : SpectrumSample or None
        The eigenvalues at some frequencies, instead of all.
    remark : str
        The values that are missing, with the reason; empty if none are.
    """

    layer: Layer
    padding: str
    spectrum: Spectrum | None = None
    extremes: Extremes | None = None
    sigma: Float64[np.ndarray, "N"] | None = None
    largest: LargestSingularValues | None = None
    sample: SpectrumSample | None = None
    remark: str = ""

    @property
    def name(self) -> str:
        """Name of the weight in the state dict."""
        return self.layer.name

    @property
    def ends(self) -> Spectrum | SpectrumSample | Extremes | None:
        """The spectrum, its sample or its extremes, all of which have radius, min_real, max_real and max_imag."""
        return self.spectrum or self.sample or self.extremes

    @cached_property
    def singular(self) -> SingularSummary | None:
        """Norm, condition number and stable rank; NaN where they are unknown."""
        if self.sigma is not None:
            return summarize(self.sigma)
        if self.largest is None:
            return None
        converged = self.largest.values[self.largest.converged]
        norm = float(converged.max(initial=-math.inf)) if len(converged) else math.nan
        return SingularSummary(norm, math.nan, math.nan, self.largest.stable_rank)


def model_spectra(
    model: nn.Module,
    image_size: int | tuple[int, ...],
    *,
    padding: str = "circular",
    kind: str = "eigenvalues",
    k: int | None = None,
    sample: int | None = None,
    workers: int | None = None,
) -> ModelSpectra:
    """Return the spectra of a model's convolutions, each on the grid of its input.

    Grids and paddings are found by one forward pass of a black image.

    Parameters
    ----------
    model : nn.Module
        Not modified.
    image_size : int, (H, W) or (channels, H, W)
        Size of the images; the channels are those of the first convolution unless given.
    padding : ``"circular"``, ``"zeros"`` or ``"own"``
        ``"circular"`` computes all eigenvalues from the symbol, whatever padding a layer has; ``"own"`` is the padding
        of each layer, which a result has as ``layer.conv.padding``.
    kind : ``"eigenvalues"``, ``"singular"`` or ``"both"``
    k : int, optional
        Number of eigenvalues at each end, and of largest singular values of an operator that is too large for all of
        them; by default all eigenvalues where the operator is small enough.
    sample : int, optional
        Number of pairs of conjugate frequencies that are drawn, with circular padding; by default all are solved.
    workers : int, optional
        Threads; by default one for each core that this process may use.

    Returns
    -------
    ModelSpectra

    Raises
    ------
    InputError
        If the model has no two-dimensional convolution, the images don't go through it, or weights are not finite.

    See Also
    --------
    polyroots.analysis.save_results : writes them to a file
    polyroots.eigenvalues : the spectrum of one kernel

    Examples
    --------
    >>> model = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.Conv2d(8, 8, 3, padding=1))
    >>> found = model_spectra(model, 16)
    >>> {name: (result.layer.conv.size, len(result.spectrum)) for name, result in found.layers.items()}
    {'1.weight': ((8, 8), 512)}
    >>> found.skipped
    {'0.weight': 'not square: 8 output channels from 3; it has singular values'}
    """
    if not isinstance(model, nn.Module):
        raise InputError(
            f"expected a torch.nn.Module, got {type(model).__name__}; build the model and load its weights"
        )
    analysis = Analysis(padding, kind, k, workers, sample=sample)
    layers, skipped = model_layers(model, image_size)
    results = {}
    for layer in layers:
        reason = analysis.why_not(layer)
        if reason:
            skipped[layer.name] = reason
        else:
            results[layer.name] = analyse(layer, analysis)
    return ModelSpectra(results, skipped)


def model_layers(model: nn.Module, image_size: int | tuple[int, ...]) -> tuple[list[Layer], dict[str, str]]:
    """Return the convolutions of a model for an image size, and the reasons why others are skipped."""
    first = next((module for module in model.modules() if isinstance(module, nn.Conv2d)), None)
    if first is None:
        raise InputError(f"{type(model).__name__} has no Conv2d: expected a network with convolutions of images")
    size = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    if len(size) not in (2, 3) or not all(isinstance(n, int) and n > 0 for n in size):
        raise InputError(f"expected an image size (H, W) or (channels, H, W) in pixels, got {quoted(image_size)}")
    shape = size if len(size) == 3 else (first.in_channels, *size)
    images = torch.zeros(1, *shape, dtype=first.weight.dtype, device=first.weight.device)
    try:
        traced, skipped = trace_convolutions(model, images)
    except Exception as error:  # whatever a network of any author raises
        words = shortened(str(error), 200) or type(error).__name__
        raise InputError(
            f"{type(unwrapped(model)).__name__} doesn't take images of shape {shape}: {words}; give another image_size",
            fields=["image_size"],
        ) from error
    return [layer_of(conv, weight, note) for conv, weight, note in traced], skipped


def applied_kernel(module: nn.Module, images: Shaped[Tensor, "batch *shape"]) -> Shaped[Tensor, "c_out c_in *kernel"]:
    """Return the kernel that the forward pass of one convolution uses, such as a standardised weight."""
    return record_convolutions(module, images).uses[module][0].calls[0].weight.detach()


def layer_of(conv: TracedConvolution, weight: Shaped[Tensor, "c_out c_in *kernel"], note: str = "") -> Layer:
    """Return the layer of a weight in memory."""
    return Layer(conv, tuple(weight.shape), str(weight.dtype).removeprefix("torch."), lambda: weight, note)


def analyse(layer: Layer, analysis: Analysis, on_progress: Progress | None = None) -> LayerResult:
    """Return the eigenvalues and singular values of a layer.

    Raises
    ------
    InputError
        If the weights are not finite.
    """
    padding = analysis.padding_for(layer)
    convolution = layer.convolution(padding)
    found: dict[str, Any] = {}
    remarks = [layer.note] if layer.note.startswith("used again") else []
    if analysis.kind != "singular":
        reason = why_no_eigenvalues(layer)
        is_too_large = padding == "zeros" and not is_direct(convolution)
        if reason:
            remarks.append(f"no eigenvalues ({reason})")
        elif analysis.k or is_too_large:
            k = min(analysis.k or DEFAULT_K, convolution.shape[0])
            if not analysis.k:
                remarks.append(f"only {k} eigenvalues at each end: more than {DENSE_LIMIT:,} unknowns")
            found["extremes"] = extreme_eigenvalues_of(convolution, k, workers=analysis.workers)
        elif analysis.sample and 2 * analysis.sample < math.prod(convolution.period):
            sample = sample_eigenvalues_of(
                convolution, analysis.sample, workers=analysis.workers, on_progress=on_progress
            )
            found["sample"] = sample
            remarks.append(f"{sample.solved:,} of {sample.total:,} frequencies: the spectrum may reach further")
        else:
            is_single = analysis.precision == "single" and padding == "circular"
            dtype = np.complex64 if is_single else np.complex128
            spectrum = eigenvalues_of(convolution, dtype=dtype, workers=analysis.workers, on_progress=on_progress)
            found["spectrum"] = spectrum
            if is_single:
                error = single_precision_error(spectrum)
                remarks.append(f"single precision: its eigenvalues are known to {error:.0e} of the radius")
    if analysis.kind != "eigenvalues":
        if has_symbol(convolution) or fits(convolution):
            found["sigma"] = singular_values_of(convolution, workers=analysis.workers, on_progress=on_progress)
        else:
            k = analysis.k or DEFAULT_K
            remarks.append(f"only the {k} largest singular values: more than {DENSE_LIMIT:,} unknowns")
            found["largest"] = largest_singular_values(convolution, k)
    return LayerResult(layer, padding, remark="; ".join(remarks), **found)


def why_no_eigenvalues(layer: Layer) -> str | None:
    """Return why a layer doesn't map a space to itself; None if it does."""
    c_out, c_in = layer.shape[0], layer.shape[1] * layer.conv.groups
    if c_out != c_in:
        groups = re.search(r"perhaps (grouped|depthwise) \(\d+\)", layer.note)
        return f"not square: {c_out} output channels from {c_in}" + (f"; {groups[0]}" if groups else "")
    if layer.conv.stride != (1, 1):
        return f"stride {layer.conv.stride[0]}x{layer.conv.stride[1]}: it maps an image to a smaller one"
    return None
