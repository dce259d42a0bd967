"""Checkpoints: polyroots' own format, and the convolutions in files of other programs."""

from polyroots.checkpoints.architecture import IMAGE_SIZE, Architecture, options_of
from polyroots.checkpoints.foreign import read_layers
from polyroots.checkpoints.geometry import Geometry, Rules, require_rules
from polyroots.checkpoints.layer_set import LayerSet
from polyroots.checkpoints.layout import InitDocument
from polyroots.checkpoints.matrices import holds_matrix, read_matrix
from polyroots.checkpoints.own import Checkpoint, load_checkpoint, save_checkpoint
from polyroots.files import checkpoint_in

__all__ = [
    "IMAGE_SIZE",
    "Architecture",
    "Checkpoint",
    "Geometry",
    "InitDocument",
    "LayerSet",
    "Rules",
    "checkpoint_in",
    "holds_matrix",
    "load_checkpoint",
    "options_of",
    "read_layers",
    "read_matrix",
    "require_rules",
    "save_checkpoint",
]
