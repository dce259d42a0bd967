"""The convolutions that a forward pass computes, with the weights that it used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Shaped
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

# Names that wrappers of torch give to the modules in them.
_WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")


@dataclass(frozen=True)
class Call:
    """A call of conv2d: its weight and geometry."""

    weight: Tensor
    size: tuple[int, int]
    stride: tuple[int, int]
    padding: str | tuple[int, int]
    dilation: tuple[int, int]
    groups: int


@dataclass
class Use:
    """A forward pass through one module: the size of its input, the conv2d calls within, and what was padded."""

    size: tuple[int, int]
    calls: list[Call] = field(default_factory=list)
    pads: list[tuple[list[int], str]] = field(default_factory=list)


class Recorder(TorchFunctionMode):
    """Records the calls of conv2d by the modules that make them.

    Attributes
    ----------
    uses : dict
        Module -> its forward passes, of every Conv2d.
    others : list of (path, Call)
        Calls outside of a Conv2d, with the module that makes them.
    """

    def __init__(self, model: nn.Module, *, copies: bool) -> None:
        super().__init__()
        self.uses: dict[nn.Module, list[Use]] = {}
        self.others: list[tuple[str, Call]] = []
        self._paths = {module: path for path, module in model.named_modules()}
        self._stack: list[tuple[nn.Module, Use]] = []
        self._copies = copies

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Record a call of conv2d or pad, and make it."""
        kwargs = kwargs or {}
        if func is functional.conv2d:
            call = self._call(*args, **kwargs)
            module, use = self._stack[-1] if self._stack else (None, None)
            if use is not None and isinstance(module, nn.Conv2d):
                use.calls.append(call)
            else:
                self.others.append((self._paths.get(module, "") if module is not None else "", call))
        elif func is functional.pad and self._stack:
            use = self._stack[-1][1]
            # A layer may pad its kernel, too.
            image = args[0] if args else kwargs["input"]
            if image.ndim > 1 and _size_of(image) == use.size:
                use.pads.append(_pad(*args, **kwargs))
        return func(*args, **kwargs)

    def _call(
        self,
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Call:
        kept = weight.detach().clone() if self._copies else weight
        amount = padding if isinstance(padding, str) else _two(padding)
        return Call(kept, _size_of(input), _two(stride), amount, _two(dilation), groups)

    def enter(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Begin a forward pass through a module; a hook."""
        image = args[0] if args else kwargs.get("input")
        use = Use(_size_of(image) if isinstance(image, Tensor) and image.ndim > 1 else (0, 0))
        self._stack.append((module, use))
        if isinstance(module, nn.modules.conv._ConvNd):
            self.uses.setdefault(module, []).append(use)

    def leave(self, module: nn.Module, *_: Any) -> None:
        """End a forward pass through a module; a hook."""
        if self._stack and self._stack[-1][0] is module:
            self._stack.pop()


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the network within DataParallel, DistributedDataParallel and torch.compile."""
    while True:
        if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            model = model.module
        elif "_orig_mod" in model._modules:
            inner = model._modules["_orig_mod"]
            assert inner is not None
            model = inner
        else:
            return model


def without_wrappers(name: str) -> str:
    """Return the name of a module or weight without the wrappers of compiled, sharded and checkpointed modules.

    >>> without_wrappers("layer1._fsdp_wrapped_module.0._orig_mod.conv.weight")
    'layer1.0.conv.weight'
    """
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)


def record_convolutions(model: nn.Module, images: Shaped[Tensor, "batch *shape"]) -> Recorder:
    """Return the record of one forward pass of a network in evaluation mode; the network is left as it was.

    Compiled parts run as they were written, without their compiled code.
    """
    kinds = {kind.__name__ for module in model.modules() for kind in type(module).__mro__}
    # Sharded parameters are whole during the forward pass only.
    is_sharded = bool(kinds & {"FullyShardedDataParallel", "FSDPModule"})
    recorder = Recorder(model, copies=is_sharded)
    modes = {module: module.training for module in model.modules()}
    with ExitStack() as stack:
        for module in modes:
            for handle in (
                module.register_forward_pre_hook(recorder.enter, with_kwargs=True),
                module.register_forward_hook(recorder.leave, always_call=True),
            ):
                stack.callback(handle.remove)
        for module, mode in modes.items():
            stack.callback(setattr, module, "training", mode)
        stack.enter_context(_without_compilation(model))
        stack.enter_context(torch.no_grad())
        model.eval()
        with recorder:
            model(images)
    return recorder


@contextmanager
def _without_compilation(model: nn.Module) -> Iterator[None]:
    """Let compiled modules run without compiled code."""
    is_compiled = any("_orig_mod" in m._modules or m.__dict__.get("_compiled_call_impl") for m in model.modules())
    if not is_compiled:
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield


def _pad(input: Tensor, pad: Any, mode: str = "constant", value: float | None = None) -> tuple[list[int], str]:
    return list(pad), "zeros" if mode == "constant" and not value else mode


def _size_of(image: Tensor) -> tuple[int, int]:
    H, W = image.shape[-2:]
    return H, W


def _two(values: Any) -> tuple[int, int]:
    if isinstance(values, int):
        return values, values
    first, second = values if len(values) == 2 else (*values, *values)
    return first, second
