"""Which tensors of a state dict are the weights of convolutions, as far as names and shapes say."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from polyroots.checkpoints.safetensors import FLOATING_POINT
from polyroots.checkpoints.weights import ComputedTensor, Weight, Weights, dtype_of, in_module, is_sharded, split_name

#: Reason for tensors that ``--layer`` with their exact name takes all the same.
NO_WEIGHT_BY_NAME = "four-dimensional, but no weight of a convolution by its name"

_KERNEL_NAMES = ("weight", "kernel")
# Factors of low-rank updates: loralib and peft (lora_A), LoCon (lora_down), LoHa (hada_w1_a), LoKr, OFT.
_ADAPTER = re.compile(r"(lora_(A|B|down|up|mid|magnitude_vector)|hada_\w+|lokr_\w+|oft_\w+|dora_scale|vera_lambda\w*)")
# Tensors beside a weight from which, together with the weight, the kernel is computed: standardised weights with a
# gain, spectral norms that keep their vectors beside the weight, scaled ones, quantised ones.
_PARTNERS = ("gain", "u0", "sv0", "weight_u", "weight_g", "weight_bar", "weight_scale", "scale", "weight_sigma")
_TRANSPOSED = re.compile(
    r"(^|[._])(de_?conv\w*|up(s|\d+)?|up_?(conv|sampl|scal)\w*|conv_?t(r|ranspose)?(2d)?\d*|t_?conv\d*|transposed?\w*)"
    r"([._]|$)",
    flags=re.IGNORECASE,
)
#: Modules that hold a convolution with its norm and activation.
WRAPPED = ("conv", "conv2d", "c")
#: Names of layers that halve the image, and often double the channels.
STRIDED = re.compile(r"(^|[._])(pool\d*|down(s|\d+)?(_?sampl\w*|_?conv\w*|_?scal\w*)?)([._]|$)", flags=re.IGNORECASE)
_SHORTCUTS = ("downsample", "shortcut", "skip", "proj", "identity", "conv_s", "conv_shortcut")
# Keras and TensorFlow keep (kh, kw, c_in, c_out); no kernel in use has more rows than this in its first two dimensions.
_KERAS_LARGEST = 11


@dataclass(frozen=True)
class Names:
    """The names and shapes of a state dict.

    Attributes
    ----------
    weights : mapping of str to Tensor, StoredTensor or ComputedTensor
    """

    weights: Weights

    @cached_property
    def adapted(self) -> set[str]:
        """Modules with a low-rank update of their weight."""
        found = set()
        for name in self.weights:
            parts = name.split(".")
            found |= {".".join(parts[:k]) for k, part in enumerate(parts) if _ADAPTER.fullmatch(part)}
        return found

    @cached_property
    def modules(self) -> set[str]:
        """Names of all modules that hold tensors, and of those that hold these."""
        return {name[: match.start()] for name in self.weights for match in re.finditer(r"\.", name)}

    @cached_property
    def is_keras(self) -> bool:
        """Whether a kernel is laid out as Keras does, (kh, kw, c_in, c_out)."""
        return any(_is_surely_keras(tuple(weight.shape)) for name, weight in self.weights.items() if _is_named(name))

    def why_no_convolution(self, name: str) -> str | None:
        """Return why an entry is not a convolution of images; None if it can be one."""
        weight = self.weights[name]
        return (
            why_no_numbers(weight)
            or (None if _is_named(name) else NO_WEIGHT_BY_NAME)
            or self._why_other_layout(name, weight)
            or self._why_not_applied(name)
            or self._why_transposed(name, weight)
        )

    def doubts(self, name: str, groups: int) -> list[str]:
        """Return what a square convolution may be instead of one with stride 1, by its name, kernel and block."""
        weight = self.weights[name]
        if weight.shape[0] != weight.shape[1] * groups:
            return []
        found = []
        module = split_name(name)[0]
        if _TRANSPOSED.search(module):
            found.append("perhaps a transposed convolution, by its name")
        block, last = split_name(module)
        if last in WRAPPED:
            block = split_name(block)[0]
        if STRIDED.search(module):
            found.append("perhaps strided, by its name")
        elif all(k % 2 == 0 for k in weight.shape[2:]):
            found.append("perhaps strided, by its even kernel")
        elif any(part in _SHORTCUTS for part in module.split(".")):
            found.append("perhaps strided, as a convolution in a shortcut")
        elif max(weight.shape[2:]) > 1 and self._has_shortcut(block):
            found.append("perhaps strided, as its block has a convolution in its shortcut")
        elif groups == weight.shape[0] > 1:
            found.append("perhaps strided, as some depthwise convolutions of mobile networks are")
        return found

    def _has_shortcut(self, block: str) -> bool:
        """Return whether a block, or one of the two around it, has a convolution in its shortcut."""
        for _ in range(3):
            if any(in_module(block, part) in self.modules for part in _SHORTCUTS):
                return True
            # The whole network is no block.
            block = split_name(block)[0]
            if not block:
                return False
        return False

    def _why_other_layout(self, name: str, weight: Weight) -> str | None:
        """Return why a kernel is not laid out as torch does."""
        shape = tuple(weight.shape)
        bias = self.weights.get(in_module(split_name(name)[0], "bias"))
        if bias is not None and bias.ndim == 4:
            return "four-dimensional as its bias is: a scaling, no convolution"
        if self.is_keras and _may_be_keras(shape):
            return (
                f"its shape {shape} is a kernel as Keras and TensorFlow lay it out, (kh, kw, c_in, c_out); "
                "torch's is (c_out, c_in, kh, kw): permute(3, 2, 0, 1) and save it again"
            )
        return None

    def _why_not_applied(self, name: str) -> str | None:
        """Return why a layer doesn't apply the weight as it is stored."""
        module = split_name(name)[0]
        if module in self.adapted or split_name(module)[0] in self.adapted:
            return "its layer adds a low-rank update (LoRA, LoCon) to it; merge the update into the weight first"
        partner = next((p for p in _PARTNERS if in_module(module, p) in self.weights), None)
        weight = self.weights[name]
        if partner is None or isinstance(weight, ComputedTensor):
            return None
        return f"its layer also has {partner!r}, and the state dict doesn't say how both make the kernel"

    def _why_transposed(self, name: str, weight: Weight) -> str | None:
        """Return why a weight is that of a transposed convolution, (c_in, c_out, kh, kw)."""
        if isinstance(weight, ComputedTensor) and weight.note.endswith("transposed convolution"):
            return "its spectral norm is that of a transposed convolution; convolutions are analysed"
        module = split_name(name)[0]
        rows = weight.shape[0]
        length = _length(self.weights.get(in_module(module, "bias")))
        if length is not None and length != rows:
            return (
                f"its bias has {length} entries for {rows} rows of weights: a transposed convolution; "
                "convolutions are analysed"
            )
        length = self._next_norm(module)
        if length is not None and length != rows and length % weight.shape[1] == 0:
            return (
                f"the batch norm after it has {length} channels for {rows} rows of weights: a transposed convolution; "
                "convolutions are analysed"
            )
        return None

    def _next_norm(self, module: str) -> int | None:
        """Return the channels of the batch norm that follows a convolution in an nn.Sequential."""
        parent, last = split_name(module)
        if not last.isdecimal():
            return None
        return _length(self.weights.get(in_module(parent, f"{int(last) + 1}.running_mean")))


def why_no_numbers(weight: Weight) -> str | None:
    """Return why a tensor can't be a kernel by its dimensions, layout and type; None if it can."""
    if weight.ndim != 4:
        kind = {3: ", as a Conv1d's", 5: ", as a Conv3d's"}.get(weight.ndim, "")
        return f"its weight has {weight.ndim} dimensions{kind}; a convolution of images has 4"
    if is_sharded(weight):
        return (
            "it is a part of a DTensor (FSDP2), as one process has it; save whole tensors, which "
            "torch.distributed.checkpoint.state_dict.get_model_state_dict gives with full_state_dict=True"
        )
    if isinstance(weight, Tensor) and (weight.is_meta or weight.layout != torch.strided):
        return "it holds no dense numbers"
    if math.prod(weight.shape) == 0:
        return f"it is empty, of shape {tuple(weight.shape)}"
    if dtype_of(weight) not in FLOATING_POINT:
        return f"its weights are {dtype_of(weight)}; expected {', '.join(FLOATING_POINT)}"
    return None


def _is_named(name: str) -> bool:
    """Return whether a name is that of a convolution's weight."""
    *modules, parameter = name.split(".")
    return parameter in _KERNEL_NAMES and not any(_ADAPTER.fullmatch(part) for part in modules)


def _length(vector: Weight | None) -> int | None:
    return vector.shape[0] if vector is not None and vector.ndim == 1 else None


def _may_be_keras(shape: tuple[int, ...]) -> bool:
    return len(shape) == 4 and max(shape[:2]) <= _KERAS_LARGEST


def _is_surely_keras(shape: tuple[int, ...]) -> bool:
    """Return whether a shape is small, small, large, large; a torch kernel of such a size would cover whole images."""
    if not _may_be_keras(shape) or min(shape[:2]) < 2:
        return False
    return min(shape[2:]) > _KERAS_LARGEST or (shape[2] != shape[3] and max(shape[2:]) > _KERAS_LARGEST)
