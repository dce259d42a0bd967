"""Data sets: opened first, which is quick and finds what is wrong, then read into memory as bytes."""

from polyroots.training.data.cache import CacheWarning, cache_directory
from polyroots.training.data.source import Part, Progress, Source
from polyroots.training.data.sources import SOURCES, describe_data, open_data
from polyroots.training.data.split import DataSet, Split

__all__ = [
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
