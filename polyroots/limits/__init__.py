"""Limits on what a file may declare: a small file can't take much time or memory before it is refused."""

from polyroots.limits.archives import DAMAGED, is_archive, is_archive_of_torch, require_archive
from polyroots.limits.declared import (
    FREE,
    LONGEST_NAME,
    LONGEST_PICKLE,
    LONGEST_TEXT,
    MOST_ENTRIES,
    MOST_INSTRUCTIONS,
    MOST_ITEMS,
    TIMES,
    are_lifted,
    read_at_most,
    require_at_most,
    require_names,
    require_size,
    require_text_size,
    without_limits,
)
from polyroots.limits.pickles import require_pickles

__all__ = [
    "DAMAGED",
    "FREE",
    "LONGEST_NAME",
    "LONGEST_PICKLE",
    "LONGEST_TEXT",
    "MOST_ENTRIES",
    "MOST_INSTRUCTIONS",
    "MOST_ITEMS",
    "TIMES",
    "are_lifted",
    "is_archive",
    "is_archive_of_torch",
    "read_at_most",
    "require_archive",
    "require_at_most",
    "require_names",
    "require_pickles",
    "require_size",
    "require_text_size",
    "without_limits",
]
