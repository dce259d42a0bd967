"""Devices, through Lightning Fabric."""

from __future__ import annotations

import torch
from lightning_fabric import Fabric

from polyroots.errors import InputError
from polyroots.training.config import Device


def make_fabric(device: Device) -> Fabric:
    """Return a Fabric for one device.

    Raises
    ------
    InputError
        If there is no such device here.
    """
    present = {
        "auto": True,
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not present[device]:
        raise InputError(f"no {device} device is usable here; use --device cpu or --device auto")
    fabric = Fabric(accelerator=device, devices=1)
    fabric.launch()
    return fabric


def describe(device: torch.device) -> str:
    """Name a device as people know it."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device.type}, {torch.get_num_threads()} threads" if device.type == "cpu" else str(device)
