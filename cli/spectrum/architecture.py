"""The architecture that the options name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from polyroots.text import quoted, shortened

if TYPE_CHECKING:
    from polyroots.checkpoints import Architecture, Geometry


def architecture_of(
    name: str | None,
    options: tuple[str, ...],
    image_size: tuple[int, int] | None,
    geometry: Geometry,
    size: tuple[int, int] | None,
) -> Architecture | None:
    """Return the architecture, after a line on stderr if it is code of the user's own; None if there is none.

    Raises
    ------
    click.UsageError
        If options contradict each other.
    """
    from polyroots.checkpoints import IMAGE_SIZE, Architecture, options_of
    from polyroots_cli.console import console, say

    if name is None:
        if options or image_size:
            if options:
                raise click.UsageError("--arch-option is of the architecture, and --arch names none")
            raise click.UsageError(
                "--image-size is of the architecture, and --arch names none; --size is of the layers"
            )
        return None
    if size is not None or geometry.rules:
        what = "size" if size is not None else geometry.rules[0][0]
        raise click.UsageError(f"--arch {shortened(name, 160)} gives the geometry of every layer; leave --{what} out")
    pairs = {}
    for option in options:
        key, separator, value = option.partition("=")
        if not separator or not key.isidentifier():
            raise click.UsageError(f"--arch-option: expected NAME=VALUE such as num_classes=100, got {quoted(option)}")
        pairs[key] = value
    found = Architecture(name, options_of(pairs), image_size or IMAGE_SIZE)
    if found.is_own_code and ":" in name:
        say(
            f"--arch {shortened(name, 160)} runs the code of {shortened(name.partition(':')[0], 160)}.",
            screen=console(stderr=True),
        )
    return found
