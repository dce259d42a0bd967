"""The grid on which each convolution of a network acts, found by one forward pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from polyroots.models.build import build_for_shapes
from polyroots.models.config import ModelConfig
from polyroots.models.recording import Recorder, Use, record_convolutions, unwrapped, without_wrappers
from polyroots.spectra import Convolution, has_own_forward
from polyroots.text import listed


@dataclass(frozen=True)
class TracedConvolution:
    """Geometry of a convolution in a network.

    Attributes
    ----------
    name : str
        Of its weight in the state dict.
    size : (H, W)
        Grid of its input.
    stride, dilation : (int, int)
    groups : int
    padding : str or None
        ``"zeros"`` or ``"circular"`` if it is "same" padding, otherwise a description; None where it is unknown.
    """

    name: str
    size: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    padding: str | None = None

    def convolution(self, weight: Any, padding: str) -> Convolution:
        """Return the convolution with this geometry and a weight, with circular or zero padding.

        Raises
        ------
        InputError
            If the weight is not finite.
        """
        return Convolution.of(
            weight,
            self.size,
            stride=self.stride,
            dilation=self.dilation,
            groups=self.groups,
            padding=padding,
            name=self.name,
        )


def convolutions(config: ModelConfig) -> list[TracedConvolution]:
    """Return every convolution of a network, in the order of its modules."""
    return [conv for conv, _, _ in trace_convolutions(*build_for_shapes(config))[0]]


def trace_convolutions(
    model: nn.Module, images: Tensor
) -> tuple[list[tuple[TracedConvolution, Tensor, str]], dict[str, str]]:
    """Return the geometry of each convolution of any network, by one forward pass in evaluation mode.

    Parameters
    ----------
    model : nn.Module
        Left as it was. Wrappers (DataParallel, DistributedDataParallel, FSDP, torch.compile) are looked through.
    images : (1, channels, H, W) Tensor
        On the device of the model; on "meta" nothing is computed.

    Returns
    -------
    list of (TracedConvolution, weight, note)
        In the order of the modules; the weight is the one that the forward pass used. A module that is used at several
        sizes is listed once, with the first size and a note of the others.
    dict
        Name -> reason, of each convolution that is not listed.
    """
    model = unwrapped(model)
    record = record_convolutions(model, images)
    kept, skipped = [], {}
    owners: dict[int, str] = {}
    for path, module in model.named_modules():
        if not isinstance(module, nn.modules.conv._ConvNd):
            continue
        name = without_wrappers(f"{path}.weight" if path else "weight")
        # A reparametrised weight is computed at each use and is no parameter: it can't be tied.
        parameter = dict(module.named_parameters(recurse=False)).get("weight")
        owner = name if parameter is None else owners.setdefault(id(parameter), name)
        if not isinstance(module, nn.Conv2d):
            skipped[name] = f"a {type(module).__name__}; convolutions of images, Conv2d, are analysed"
        elif owner != name:
            skipped[name] = f"tied: the same weights as {owner}"
        elif module not in record.uses:
            skipped[name] = "the forward pass didn't use it"
        else:
            traced = _traced(name, module, record.uses[module])
            if isinstance(traced, str):
                skipped[name] = traced
            else:
                kept.append(traced)
    return kept, skipped | _without_module(model, record)


def _traced(name: str, module: nn.Conv2d, uses: list[Use]) -> tuple[TracedConvolution, Tensor, str] | str:
    """Return the geometry, the weight and a note of a Conv2d that was used; or the reason why it has none."""
    size, *others = dict.fromkeys(use.size for use in uses)
    note = f"used again at {listed((f'{h}x{w}' for h, w in others), separator=' and ')}" if others else ""
    calls = uses[0].calls
    if has_own_forward(module):
        shape = (module.out_channels, module.in_channels // module.groups, *module.kernel_size)
        if len(calls) != 1 or tuple(calls[0].weight.shape) != shape:
            shapes = listed((tuple(call.weight.shape) for call in calls), 3, separator=" and ") or "none"
            return (
                f"the forward pass of {type(module).__name__} is not that of a Conv2d: expected one convolution with a "
                f"kernel of shape {shape}, it computes {shapes}"
            )
        (call,) = calls
        conv = TracedConvolution(name, size, call.stride, call.dilation, call.groups, _padding_in(uses[0]))
        return conv, call.weight, note
    conv = TracedConvolution(name, size, _two(module.stride), _two(module.dilation), module.groups, _padding_of(module))
    # What the convolutions of our own networks compute with is another form of their weight, or alpha0 I + alpha1 A.
    is_own = getattr(module, "applies_its_weight", False)
    return conv, calls[0].weight if calls and not is_own else module.weight, note


def _without_module(model: nn.Module, record: Recorder) -> dict[str, str]:
    """Return the convolutions that the forward pass computes without a Conv2d, with the reason why they are skipped."""
    names = {id(parameter): without_wrappers(name) for name, parameter in model.named_parameters()}
    found = {}
    for path, call in record.others:
        name = names.get(id(call.weight), without_wrappers(f"{path}.conv2d" if path else "conv2d"))
        shape, (H, W) = "x".join(map(str, call.weight.shape)), call.size
        what = "its parameter" if id(call.weight) in names else "a tensor"
        where = f"conv2d at {H}x{W}, without an nn.Conv2d"
        found[name] = f"{what} of shape {shape} is given to {where}; polyroots.eigenvalues takes it"
    return found


def _padding_in(use: Use) -> str:
    """Return the padding of the one convolution in a forward pass: in its call, or made before it."""
    (call,) = use.calls
    taps = call.weight.shape[2:]
    reach = [d * (k - 1) for k, d in zip(taps, call.dilation, strict=True)]
    if not use.pads and call.size == use.size:
        is_same = call.padding == "same" or (
            not isinstance(call.padding, str) and [2 * p for p in call.padding] == reach
        )
        amount = call.padding if isinstance(call.padding, str) else "x".join(map(str, call.padding))
        return "zeros" if is_same else f"zeros, {amount} pixels"
    if len(use.pads) == 1 and call.padding in ((0, 0), "valid"):
        amounts, mode = use.pads[0]
        left, right, top, bottom = (*amounts, 0, 0)[:4]
        # As padding="same" places the taps.
        if (top, bottom, left, right) == tuple(n for total in reach for n in (total // 2, total - total // 2)):
            return mode
    return "made by its own forward pass"


def _padding_of(module: nn.Conv2d) -> str:
    if isinstance(module.padding, str):
        is_same, amount = module.padding == "same", module.padding
    else:
        reach = [d * (k - 1) for k, d in zip(module.kernel_size, module.dilation, strict=True)]
        is_same = [2 * p for p in module.padding] == reach
        amount = "x".join(str(p) for p in module.padding)
    return module.padding_mode if is_same else f"{module.padding_mode}, {amount} pixels"


def _two(values: tuple[int, ...]) -> tuple[int, int]:
    first, second = values
    return first, second
