"""``polyroots models``."""

from __future__ import annotations

from typing import Any

import click

from .options import ImageSize, json_option


@click.command(short_help="List the networks with their blocks and weights.")
@click.option("--size", type=ImageSize(), default="32", show_default=True, help="Image size in pixels.")
@click.option("--in-channels", type=click.IntRange(min=1), default=3, show_default=True, help="Channels of the image.")
@click.option("--classes", type=click.IntRange(min=1), default=10, show_default=True, help="Outputs.")
@json_option
def models(size: tuple[int, int], in_channels: int, classes: int, as_json: bool) -> None:
    """List the networks that --model knows, with blocks, degree and number of weights.

    Blocks: L one real root, R two real roots, S two real roots of opposite sign, C a conjugate pair.

    \b
    Example:
      polyroots models --size 28 --in-channels 1
    """
    import torch

    from polyroots.models import NAMES, build, count_weights, model_config

    from .console import print_json, say, table

    rows: list[dict[str, Any]] = []
    for name in NAMES:
        config = model_config(name, image_size=size, in_channels=in_channels, classes=classes)
        with torch.device("meta"):
            weights = count_weights(build(config))
        rows.append(
            {
                "name": name,
                "blocks": list(config.blocks) if config.is_polynomial else None,
                "degree": config.degree if config.is_polynomial else None,
                "channels": list(config.channels),
                "weights": weights,
            }
        )
    if as_json:
        print_json(rows)
        return
    result = table("model", "blocks", "channels", "degree", "weights", left=3)
    for row in rows:
        result.add_row(
            row["name"],
            ",".join(row["blocks"] or []) or "-",
            ",".join(map(str, row["channels"])),
            "-" if row["degree"] is None else str(row["degree"]),
            f"{row['weights']:,}",
        )
    say(result)
