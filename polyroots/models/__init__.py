"""Networks: polynomial blocks, levels, Poly-MgNet, and the networks that they are compared with."""

from polyroots.models.build import build, count_weights
from polyroots.models.config import NAMED_BLOCKS, NAMES, ModelConfig, model_config, name_for_degree
from polyroots.models.geometry import Convolution, convolutions, trace_convolutions
from polyroots.models.level import Level, PolyBlock, Transition
from polyroots.models.network import PolyMgNet
from polyroots.models.placement import Placement

__all__ = [
    "NAMED_BLOCKS",
    "NAMES",
    "Convolution",
    "Level",
    "ModelConfig",
    "Placement",
    "PolyBlock",
    "PolyMgNet",
    "Transition",
    "build",
    "convolutions",
    "count_weights",
    "model_config",
    "name_for_degree",
    "trace_convolutions",
]
