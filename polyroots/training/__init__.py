"""Training: configuration, data, augmentation, the loop, run directories.

What trains or evaluates a network needs Lightning Fabric, whose import takes longer than torch's; these names are
imported when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from polyroots.processes import SIGNALS
from polyroots.training.config import CHANGEABLE, Device, TrainConfig, train_config
from polyroots.training.data import (
    EVALUATION_BATCH,
    SOURCES,
    CacheWarning,
    DataSet,
    Source,
    Split,
    describe_data,
    open_data,
)
from polyroots.training.loop.interruption import Interruption
from polyroots.training.loop.optimizer import make_optimizer
from polyroots.training.loop.reporter import Beginning, Reporter
from polyroots.training.recipes import BEST, RECIPES, default_network
from polyroots.training.runs.directory import Run, load_config
from polyroots.training.runs.identity import differences
from polyroots.training.runs.loaded import LoadedRun, load_run
from polyroots.training.runs.logs import require_tensorboard
from polyroots.training.runs.parts import OwnOperator, own_operators
from polyroots.training.runs.tracking import Snapshot, TrackedLevel, TrackedOperator

if TYPE_CHECKING:
    from polyroots.training.loop.device import describe, memory_errors, one_device
    from polyroots.training.loop.epoch import DivergedError
    from polyroots.training.loop.evaluate import (
        Scores,
        evaluate,
        evaluate_checkpoint,
        normalised_test_images,
    )
    from polyroots.training.loop.fit import fit
    from polyroots.training.loop.result import StoppedError, TrainResult
    from polyroots.training.loop.train import resume, train

# The module of `polyroots.training.loop` that defines each name that needs Fabric.
_LAZY = {
    "DivergedError": "epoch",
    "Scores": "evaluate",
    "StoppedError": "result",
    "TrainResult": "result",
    "describe": "device",
    "evaluate": "evaluate",
    "evaluate_checkpoint": "evaluate",
    "fit": "fit",
    "memory_errors": "device",
    "normalised_test_images": "evaluate",
    "one_device": "device",
    "resume": "train",
    "train": "train",
}

__all__ = [
    "BEST",
    "CHANGEABLE",
    "EVALUATION_BATCH",
    "RECIPES",
    "SIGNALS",
    "SOURCES",
    "Beginning",
    "CacheWarning",
    "DataSet",
    "Device",
    "DivergedError",
    "Interruption",
    "LoadedRun",
    "OwnOperator",
    "Reporter",
    "Run",
    "Scores",
    "Snapshot",
    "Source",
    "Split",
    "StoppedError",
    "TrackedLevel",
    "TrackedOperator",
    "TrainConfig",
    "TrainResult",
    "default_network",
    "describe",
    "describe_data",
    "differences",
    "evaluate",
    "evaluate_checkpoint",
    "fit",
    "load_config",
    "load_run",
    "make_optimizer",
    "memory_errors",
    "normalised_test_images",
    "one_device",
    "open_data",
    "own_operators",
    "require_tensorboard",
    "resume",
    "train",
    "train_config",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.loop.{_LAZY[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
