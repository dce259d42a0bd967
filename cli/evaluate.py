"""``polyroots evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from polyroots_cli.options import data_dir_option, device_option, json_option
from polyroots_cli.types import FILE, Whole


@click.command(short_help="Accuracy of a trained network on its test images.")
@click.argument("checkpoint", type=FILE)
@data_dir_option
@click.option("--limit", type=Whole(1), help="Largest number of test images used.")
@device_option
@click.option("--run-code", is_flag=True, help="Run the code of a network of your own, MODULE:CALLABLE.")
@json_option
def evaluate(
    checkpoint: Path, data_dir: Path | None, limit: int | None, device: Any, run_code: bool, as_json: bool
) -> None:
    """Evaluate the network of CHECKPOINT on the test images of the data set that it was trained on.

    \b
    Example:
      polyroots evaluate runs/first/best.pt
    """
    from polyroots.checkpoints import load_checkpoint
    from polyroots.training import evaluate_checkpoint
    from polyroots_cli.console import print_json, progress, say

    loaded = load_checkpoint(checkpoint)
    with progress() as bar:
        task = bar.add_task("reading images", total=None)
        scores, source = evaluate_checkpoint(
            loaded,
            data_dir=data_dir,
            limit=limit,
            device=device,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
            run_code=run_code,
        )
    assert loaded.training is not None
    if as_json:
        print_json(
            {
                "checkpoint": str(checkpoint),
                "model": loaded.config.name,
                "epoch": loaded.training["epoch"],
                "coefficients_set_anew": loaded.training.get("initialised", False),
                "dataset": source.title,
                **scores.to_dict(),
            }
        )
        return
    anew = ", coefficients set anew" if loaded.training.get("initialised") else ""
    say(
        f"{checkpoint} ({loaded.config.name}, epoch {loaded.training['epoch']}{anew}) on {scores.images:,} test "
        f"images of {source.title}: accuracy {scores.accuracy:.2%}, loss {scores.loss:.4f}"
    )
