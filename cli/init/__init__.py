"""``polyroots init``."""

from polyroots_cli.init.command import init

__all__ = ["init"]
