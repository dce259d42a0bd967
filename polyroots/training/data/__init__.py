"""Data sets: opening one is quick and finds errors in its layout; loading it reads the images as bytes."""

from polyroots.training.data.cache import CacheWarning, cache_directory
from polyroots.training.data.source import Part, Progress, Source
from polyroots.training.data.sources import SOURCES, describe_data, open_data
from polyroots.training.data.split import EVALUATION_BATCH, DataSet, Split

__all__ = [
    "EVALUATION_BATCH",
    "SOURCES",
    "CacheWarning",
    "DataSet",
    "Part",
    "Progress",
    "Source",
    "Split",
    "cache_directory",
    "describe_data",
    "open_data",
]
