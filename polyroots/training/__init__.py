"""Training: configuration, data, augmentation, loop, run directory."""

from polyroots.training.config import DEFAULTS, TrainConfig, train_config
from polyroots.training.data import SOURCES, DataSet, Source, Split, describe_data, open_data
from polyroots.training.evaluate import Scores, evaluate, evaluate_checkpoint
from polyroots.training.loop import Reporter, TrainResult, train
from polyroots.training.run import Run

__all__ = [
    "DEFAULTS",
    "SOURCES",
    "DataSet",
    "Reporter",
    "Run",
    "Scores",
    "Source",
    "Split",
    "TrainConfig",
    "TrainResult",
    "describe_data",
    "evaluate",
    "evaluate_checkpoint",
    "open_data",
    "train",
    "train_config",
]
