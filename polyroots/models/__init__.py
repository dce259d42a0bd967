"""Networks: polynomial blocks, levels, Poly-MgNet, and the networks that they are compared with."""

from polyroots.models.build import build, build_empty, count_weights
from polyroots.models.config import ModelConfig, model_config
from polyroots.models.cost import Cost, cost
from polyroots.models.geometry import Convolution, convolutions, trace_convolutions
from polyroots.models.inert import Inert, inert_coefficients
from polyroots.models.level import Level, MgLevel, SmoothingLevel
from polyroots.models.names import NAMED_BLOCKS, NAMES, name_for_blocks, name_for_degree, parse_scale
from polyroots.models.network import MgNet, PolyMgNet
from polyroots.models.operator import ConvOperator
from polyroots.models.placement import PLACEMENTS, Placement
from polyroots.models.poly_block import PolyBlock
from polyroots.models.step import ExtractorStep, PolyStep
from polyroots.models.transition import FullTransition, Transition

__all__ = [
    "NAMED_BLOCKS",
    "NAMES",
    "PLACEMENTS",
    "ConvOperator",
    "Convolution",
    "Cost",
    "ExtractorStep",
    "FullTransition",
    "Inert",
    "Level",
    "MgLevel",
    "MgNet",
    "ModelConfig",
    "Placement",
    "PolyBlock",
    "PolyMgNet",
    "PolyStep",
    "SmoothingLevel",
    "Transition",
    "build",
    "build_empty",
    "convolutions",
    "cost",
    "count_weights",
    "inert_coefficients",
    "model_config",
    "name_for_blocks",
    "name_for_degree",
    "parse_scale",
    "trace_convolutions",
]
