"""Several seeds of one small network on one device: one after another, in simultaneous processes, and stacked by vmap.

`training.py --seeds N` prints these measurements. All ways train the same networks on the same images; *stacked* is one
network whose weights have an axis for the seeds (`torch.func.stack_module_state` and `vmap`).
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.multiprocessing as mp
from timing import in_turns
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap
from torch.nn.functional import cross_entropy

import polyroots as pr
from polyroots.models import channels_last
from polyroots.threads import usable_cores

Weights = dict[str, Tensor]


def networks(options: argparse.Namespace, name: str) -> list[pr.models.Network]:
    models = []
    for seed in range(11, 11 + options.seeds):
        torch.manual_seed(seed)
        model = pr.models.build(name, scale=options.scale)
        if model.config.is_polynomial:
            pr.initialize(model)
        models.append(model)
    return models


def batches(options: argparse.Namespace, device: torch.device, seed: int) -> tuple[Tensor, Tensor]:
    """Return images (steps, batch, 3, 32, 32) and labels (steps, batch) of one seed."""
    rng = np.random.default_rng(seed)
    shape = (options.steps, options.batch)
    images = torch.from_numpy(rng.standard_normal((*shape, 3, 32, 32), dtype=np.float32))
    return images.to(device), torch.from_numpy(rng.integers(0, 10, shape)).to(device)


def train_one(model: nn.Module, data: tuple[Tensor, Tensor]) -> None:
    """Take a step with each batch."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4, fused=True)
    model.train()
    for images, labels in zip(*data, strict=True):
        optimizer.zero_grad(set_to_none=True)
        logits = model(images.contiguous(memory_format=torch.channels_last))
        cross_entropy(logits, labels).backward()
        optimizer.step()


def train_stacked(models: list[pr.models.Network], data: list[tuple[Tensor, Tensor]]) -> tuple[Weights, Weights]:
    """Take a step of all networks with each batch of all of them; return their weights and buffers, stacked."""
    weights, buffers = stack_module_state(models)
    skeleton = copy.deepcopy(models[0]).to("meta").train()

    def loss_of(weights: Weights, buffers: Weights, images: Tensor, labels: Tensor) -> tuple[Tensor, Weights]:
        buffers = {name: buffer.clone() for name, buffer in buffers.items()}
        loss = cross_entropy(functional_call(skeleton, (weights, buffers), (images,)), labels)
        return loss, buffers

    step = vmap(grad_and_value(loss_of, has_aux=True))
    weights = {name: weight.detach().requires_grad_() for name, weight in weights.items()}
    optimizer = torch.optim.SGD(weights.values(), lr=0.01, momentum=0.9, weight_decay=1e-4, fused=True)
    for index in range(len(data[0][0])):
        images, labels = (torch.stack([both[part][index] for both in data]) for part in (0, 1))
        gradients, (_, buffers) = step({n: w.detach() for n, w in weights.items()}, buffers, images, labels)
        for name, weight in weights.items():
            weight.grad = gradients[name]
        optimizer.step()
    return {name: weight.detach() for name, weight in weights.items()}, buffers


def _worker(options: argparse.Namespace, name: str, index: int, barrier: Any, queue: Any) -> None:
    torch.set_num_threads(max(1, usable_cores() // options.seeds))
    device = torch.device(options.device)
    start = channels_last(networks(options, name)[index]).to(device)
    data = batches(options, device, index)
    for _ in range(options.runs + 1):
        model = copy.deepcopy(start)
        barrier.wait()
        barrier.wait()
        train_one(model, data)
        synchronise(device)
        barrier.wait()
    queue.put((index, {key: value.cpu().numpy() for key, value in model.state_dict().items()}))


class SeedProcesses:
    """One training process for each seed, synchronised by a barrier at the beginning and at the end of a turn."""

    def __init__(self, options: argparse.Namespace, name: str) -> None:
        context = mp.get_context("spawn")
        # With a timeout, so that the others end if one process dies.
        self.barrier, self.queue = context.Barrier(options.seeds + 1, timeout=600), context.Queue()
        arguments = [(options, name, index, self.barrier, self.queue) for index in range(options.seeds)]
        self.processes = [context.Process(target=_worker, args=these, daemon=True) for these in arguments]
        for process in self.processes:
            process.start()

    def turn(self) -> float:
        """Train all seeds once, and return the seconds until the last one has ended."""
        self.barrier.wait()
        start = time.perf_counter()
        self.barrier.wait()
        self.barrier.wait()
        return time.perf_counter() - start

    def states(self) -> list[dict[str, np.ndarray]]:
        """Return the weights of each seed at the end."""
        found = dict(self.queue.get() for _ in self.processes)
        for process in self.processes:
            process.join()
        return [found[index] for index in range(len(found))]


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measure(name: str, options: argparse.Namespace) -> list[str]:
    """Return table rows: images per second of all seeds together, and the distance of the weights from one by one."""
    device = torch.device(options.device)
    start = [channels_last(model).to(device) for model in networks(options, name)]
    data = [batches(options, device, index) for index in range(options.seeds)]
    ends: dict[str, list[dict[str, np.ndarray]]] = {}

    def one_by_one() -> None:
        models = copy.deepcopy(start)
        for model, own in zip(models, data, strict=True):
            train_one(model, own)
        synchronise(device)
        ends["one after another"] = [{k: v.cpu().numpy() for k, v in model.state_dict().items()} for model in models]

    def stacked() -> None:
        weights, buffers = train_stacked(copy.deepcopy(start), data)
        synchronise(device)
        both = {key: value.cpu().numpy() for key, value in (weights | buffers).items()}
        ends["stacked by vmap"] = [{key: value[i] for key, value in both.items()} for i in range(options.seeds)]

    functions: dict[str, Callable[[], object]] = {"one after another": one_by_one, "stacked by vmap": stacked}
    times = in_turns(functions, options.runs)
    # Timed apart from the others: the processes take memory even while they wait.
    processes = SeedProcesses(options, name)
    times["processes at once"] = [processes.turn() for _ in range(options.runs + 1)][1:]
    ends["processes at once"] = processes.states()
    count = options.seeds * options.steps * options.batch
    base = statistics.median(times["one after another"])
    lines = []
    for way, seconds in times.items():
        rates = [count / s for s in seconds]
        ratio = base / statistics.median(seconds)
        lines.append(
            f"| {name} | {way} | {statistics.median(rates):,.0f} ({max(rates) - min(rates):,.0f}) | {ratio:.2f} | "
            f"{_distance(ends[way], ends['one after another']):.0e} |"
        )
    return lines


def _distance(ends: list[dict[str, np.ndarray]], others: list[dict[str, np.ndarray]]) -> float:
    """Largest difference of two entries, relative to the largest entry of its tensor where that is above 1."""
    return max(
        float(np.abs(end[key] - other[key]).max() / max(float(np.abs(other[key]).max()), 1.0))
        for end, other in zip(ends, others, strict=True)
        for key in other
    )
