"""Checkpoints: polyroots' own format, and the convolutions in files of other programs."""

from polyroots.checkpoints.foreign import LayerSet, read_layers
from polyroots.checkpoints.own import Checkpoint, load_checkpoint, save_checkpoint

__all__ = [
    "Checkpoint",
    "LayerSet",
    "load_checkpoint",
    "read_layers",
    "save_checkpoint",
]
