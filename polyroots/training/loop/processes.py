"""Communication between the processes that train together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from jaxtyping import Float
from lightning_fabric import Fabric
from torch import Tensor, distributed, nn

from polyroots.errors import PolyrootsError

T = TypeVar("T")


@contextmanager
def joined(fabric: Fabric) -> Iterator[None]:
    """Destroy the process group after the block, also after an error: torch kills a process that ends without it."""
    try:
        yield
    finally:
        if fabric.world_size > 1 and distributed.is_initialized():
            distributed.destroy_process_group()


def in_first(fabric: Fabric, function: Callable[[], T]) -> T:
    """Call a function in the first process alone, and return its result, or raise its error, in all of them."""
    if fabric.world_size == 1:
        return function()
    result: T | None = None
    error: PolyrootsError | None = None
    if fabric.global_rank == 0:
        try:
            result = function()
        except PolyrootsError as raised:
            error = raised
    result, error = fabric.broadcast((result, error))
    if error is not None:
        raise error
    return result  # type: ignore[return-value]


def share_buffers(fabric: Fabric, module: nn.Module) -> None:
    """Copy the first process's buffers to all: the running statistics of batch norm differ between processes."""
    if fabric.world_size > 1:
        for buffer in module.buffers():
            distributed.broadcast(buffer, 0)


def first_alone(fabric: Fabric, function: Callable[[], T]) -> T:
    """Call a function in the first process and then in the others, which find the files that the first has written."""
    result: list[T] = []
    in_first(fabric, lambda: result.append(function()))
    return result[0] if result else function()


def total(fabric: Fabric, sums: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return the sum of a tensor over all processes, on the CPU."""
    if fabric.world_size > 1:
        reduced = fabric.all_reduce(sums.to(fabric.device, copy=True), reduce_op="sum")
        assert isinstance(reduced, Tensor)
        sums = reduced
    return sums.cpu()
