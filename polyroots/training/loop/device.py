"""Devices, precision and processes, through Lightning Fabric."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import LightningEnvironment, TorchElasticEnvironment
from lightning_fabric.strategies import DDPStrategy
from torch import nn

from polyroots.errors import InputError
from polyroots.models import ModelConfig, build
from polyroots.text import count_of
from polyroots.training.config import Device, Precision, TrainConfig


def make_fabric(config: TrainConfig) -> Fabric:
    """Return a Fabric for the devices of a configuration, with its processes launched.

    It joins processes that torchrun or SLURM has started; otherwise it starts the others, which run the same command.

    Raises
    ------
    InputError
        If there is no such device here, there are too few of them, or SLURM started another number of processes.
    """
    if config.num_nodes > 1 and not {"MASTER_ADDR", "SLURM_NTASKS"} & os.environ.keys():
        raise InputError(
            f"num_nodes={config.num_nodes} needs processes that are started on every machine: start the command by "
            "srun or torchrun",
            fields=["num_nodes"],
        )
    strategy: Any = "auto"
    if config.processes > 1:
        strategy = DDPStrategy(find_unused_parameters=has_unused_weights(config.model))
    fabric = _fabric(config.device, config.precision, config.devices, config.num_nodes, strategy)
    if config.sync_batch_norm and fabric.device.type != "cuda":
        raise InputError(
            f"sync_batch_norm needs CUDA devices, this is {fabric.device.type}; leave sync_batch_norm out",
            fields=["sync_batch_norm"],
        )
    with _slurm_errors(config.devices, config.num_nodes):
        fabric.launch()
    if fabric.world_size != config.processes:
        raise InputError(
            f"expected {config.processes} processes for devices={config.devices} and num_nodes={config.num_nodes}, got "
            f"{fabric.world_size}; start {config.processes}",
            fields=["devices", "num_nodes"],
        )
    return fabric


def one_device(device: Device, precision: Precision = "32") -> Fabric:
    """Return a Fabric for a single device; raise InputError if there is none."""
    return _fabric(device, precision, 1, 1, "auto")


@contextmanager
def memory_errors(config: TrainConfig) -> Iterator[None]:
    """Turn torch's errors about missing memory, and about workers that were ended, into an InputError."""
    try:
        yield
    except RuntimeError as error:
        if str(error).startswith("DataLoader worker"):
            raise InputError(
                "a worker that reads images ahead has ended, most often because memory or /dev/shm was full; go on "
                "with fewer workers, or without them",
                fields=["workers", "loading"],
            ) from error
        if not isinstance(error, torch.OutOfMemoryError) and "allocate" not in str(error):
            raise
        raise InputError(
            f"a step of {config.batch_size} images of this network takes more memory than there is; choose a smaller "
            "batch_size or fewer channels",
            fields=["batch_size"],
        ) from error


def _fabric(device: Device, precision: Precision, devices: int, num_nodes: int, strategy: Any) -> Fabric:
    """Return a Fabric whose processes are not launched yet; raise InputError if the devices are not there."""
    present = {
        "auto": 1,
        "cpu": 1,
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
    }
    if not present[device]:
        raise InputError(f"no {device} device is usable here; choose the device cpu or auto", fields=["device"])
    is_cuda = device == "cuda" or (device == "auto" and present["cuda"])
    if is_cuda and devices > present["cuda"]:
        raise InputError(
            f"expected {devices} CUDA devices, {present['cuda']} are here; choose fewer devices",
            fields=["devices"],
        )
    if is_cuda and precision == "bf16" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise InputError("this CUDA device has no bf16; choose the precision 32", fields=["precision"])
    if devices * num_nodes > 1 and not is_cuda and device in ("mps", "auto") and present["mps"]:
        raise InputError(
            "several processes can't share the mps device; choose devices=1 or device='cpu'",
            fields=["devices", "device"],
        )
    # Fabric logs its precision and each process that joins. Its import sets the level, so that this comes after it.
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    # Also in a job of SLURM with several tasks, a single process needs no others.
    is_alone = devices * num_nodes == 1 and not TorchElasticEnvironment.detect()
    with warnings.catch_warnings(), _slurm_errors(devices, num_nodes):
        # Fabric recommends srun on a cluster's login node, also for a run on that node alone.
        warnings.filterwarnings("ignore", message="The `srun` command is available")
        return Fabric(
            accelerator=device,
            devices=devices,
            num_nodes=num_nodes,
            strategy=strategy,
            precision="bf16-mixed" if precision == "bf16" else "32-true",
            plugins=LightningEnvironment() if is_alone else None,
        )


@contextmanager
def _slurm_errors(devices: int, num_nodes: int) -> Iterator[None]:
    """Turn Fabric's errors about the tasks of a SLURM job into an InputError."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        if "SLURM" not in str(error):
            raise
        names = ("SLURM_NNODES", "SLURM_NTASKS_PER_NODE", "SLURM_NTASKS")
        got = ", ".join(f"{name}={os.environ[name]}" for name in names if name in os.environ)
        raise InputError(
            f"expected a SLURM job of --nodes={num_nodes} --ntasks-per-node={devices} for devices={devices} and "
            f"num_nodes={num_nodes}, got {got}; submit such a job and start the command by srun",
            fields=["devices", "num_nodes"],
        ) from error


def has_unused_weights(config: ModelConfig) -> bool:
    """Whether a network has weights that its logits don't depend on, such as those of an A that is never applied."""
    if config.is_own:
        return True  # it isn't known
    with torch.device("meta"):
        network = build(config)
        images = torch.zeros(2, config.in_channels, *config.image_size)
    network(images).sum().backward()
    return any(weight.grad is None for weight in network.parameters() if weight.requires_grad)


def compiled(network: nn.Module, device: torch.device) -> nn.Module:
    """Return the network compiled by torch.compile, which compiles it when it is first called.

    On a CUDA device the kernels are launched together, as CUDA graphs: launched one by one, they take less time to run
    than to launch.
    """
    made: Any = torch.compile(network, mode="reduce-overhead" if device.type == "cuda" else None)
    return made


def describe(fabric: Fabric) -> str:
    """Return the name of the devices, such as ``"cpu, 4 threads"``."""
    device, count = fabric.device, fabric.world_size
    if device.type == "cuda":
        name = f"{device} ({torch.cuda.get_device_name(device)})"
    elif device.type == "cpu":
        name = f"cpu, {count_of(torch.get_num_threads(), 'thread')}"
    else:
        name = str(device)
    return name if count == 1 else f"{count} processes, each on {name.replace(str(device), device.type)}"
