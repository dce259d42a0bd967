"""``polyroots init``."""

from .command import init

__all__ = ["init"]
