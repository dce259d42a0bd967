"""Networks: polynomial blocks, levels, Poly-MgNet, and the networks that they are compared with."""

from polyroots.models.build import build, build_empty, channels_last, count_weights, network_of
from polyroots.models.coefficient_init import AlphaInit
from polyroots.models.config import ModelConfig, model_config
from polyroots.models.cost import Cost, cost
from polyroots.models.effective import EffectiveOperator, effective_operator
from polyroots.models.grid_transfer import FullTransition, Transition
from polyroots.models.inert import Inert, inert_coefficients
from polyroots.models.level import Level, MgLevel, SmoothingLevel, set_coefficients
from polyroots.models.network import MgNet, Network, PolyMgNet, plain_name
from polyroots.models.operator import ConvOperator, Init
from polyroots.models.own import PolyPart, poly_parts
from polyroots.models.placement import PLACEMENTS, Placement
from polyroots.models.poly_block import PolyBlock
from polyroots.models.recording import Recorder, record_convolutions, unwrapped
from polyroots.models.rectified import (
    Rectified,
    Signs,
    blocks_that_rectify_twice,
    rectified_coefficients,
    rectifying_blocks,
    require_signs,
)
from polyroots.models.registry import NAMED_BLOCKS, NAMES, blocks_of, name_for_blocks, name_for_degree, parse_scale
from polyroots.models.step import ExtractorStep, PolyStep, Step
from polyroots.models.tracing import TracedConvolution, convolutions, trace_convolutions

__all__ = [
    "NAMED_BLOCKS",
    "NAMES",
    "PLACEMENTS",
    "AlphaInit",
    "ConvOperator",
    "Cost",
    "EffectiveOperator",
    "ExtractorStep",
    "FullTransition",
    "Inert",
    "Init",
    "Level",
    "MgLevel",
    "MgNet",
    "ModelConfig",
    "Network",
    "Placement",
    "PolyBlock",
    "PolyMgNet",
    "PolyPart",
    "PolyStep",
    "Recorder",
    "Rectified",
    "Signs",
    "SmoothingLevel",
    "Step",
    "TracedConvolution",
    "Transition",
    "blocks_of",
    "blocks_that_rectify_twice",
    "build",
    "build_empty",
    "channels_last",
    "convolutions",
    "cost",
    "count_weights",
    "effective_operator",
    "inert_coefficients",
    "model_config",
    "name_for_blocks",
    "name_for_degree",
    "network_of",
    "parse_scale",
    "plain_name",
    "poly_parts",
    "record_convolutions",
    "rectified_coefficients",
    "rectifying_blocks",
    "require_signs",
    "set_coefficients",
    "trace_convolutions",
    "unwrapped",
]
