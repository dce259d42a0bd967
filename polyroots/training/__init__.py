"""Training: configuration, data, augmentation, the loop, run directories."""

from polyroots.training.config import TrainConfig, train_config
from polyroots.training.data import SOURCES, CacheWarning, DataSet, Source, Split, describe_data, open_data
from polyroots.training.epoch import DivergedError
from polyroots.training.evaluate import Scores, evaluate, evaluate_checkpoint
from polyroots.training.loaded import LoadedRun, load_run
from polyroots.training.logs import require_tensorboard
from polyroots.training.loop import CHANGEABLE, resume, train
from polyroots.training.recipes import RECIPES
from polyroots.training.reporter import Beginning, Reporter
from polyroots.training.run import Run
from polyroots.training.tracking import Snapshot, TrackedOperator
from polyroots.training.trainer import StoppedError, TrainResult

__all__ = [
    "CHANGEABLE",
    "RECIPES",
    "SOURCES",
    "Beginning",
    "CacheWarning",
    "DataSet",
    "DivergedError",
    "LoadedRun",
    "Reporter",
    "Run",
    "Scores",
    "Snapshot",
    "Source",
    "Split",
    "StoppedError",
    "TrackedOperator",
    "TrainConfig",
    "TrainResult",
    "describe_data",
    "evaluate",
    "evaluate_checkpoint",
    "load_run",
    "open_data",
    "require_tensorboard",
    "resume",
    "train",
    "train_config",
]
