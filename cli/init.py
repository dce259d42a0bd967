"""``polyroots init``."""

from __future__ import annotations

from pathlib import Path

import click

from .options import PATH, data_dir_option, dataset_option, json_option, model_options, seed_option, usage_errors


@click.command(short_help="Set a fresh network's coefficients from its spectra.")
@model_options
@dataset_option
@data_dir_option
@seed_option("Of the fresh weights.")
@click.option("--out", type=PATH, help="Write the initialised network here, for 'polyroots train --init'.")
@json_option
def init(
    model: str | None,
    degree: int | None,
    roots: str,
    channels: tuple[int, ...] | None,
    dataset: str,
    data_dir: Path | None,
    seed: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Draw a network, choose roots from the spectrum of each level's convolution A, and set its coefficients.

    The data set decides image size, channels and classes; its images are not read. The table shows each level's
    spectrum (circular padding), and for each block its roots and the coefficients alpha of its p.

    \b
    Examples:
      polyroots init --degree 3 --roots extremal
      polyroots init --model q2 --dataset folder --data-dir cifar10 --out init.pt
    """
    import torch

    from polyroots.checkpoint import Checkpoint, save_checkpoint
    from polyroots.initialization import initialize
    from polyroots.models import build
    from polyroots.polynomial import join_blocks
    from polyroots.training import describe_data

    from .console import dimensions, print_json, progress, say
    from .network import choose_model, levels_tables

    with usage_errors():
        config = choose_model(describe_data(dataset, data_dir), model, degree, roots, channels)
        config.blocks  # noqa: B018 - a network without any is refused here
    torch.manual_seed(seed)
    network = build(config)
    with progress() as bar:
        task = bar.add_task("eigenvalues", total=len(config.channels))
        report = initialize(network, strategy=roots, on_level=lambda _: bar.advance(task))
    document = report.to_dict()
    if out is not None:
        save_checkpoint(out, Checkpoint(config, network.state_dict(), init=document))
    if as_json:
        print_json({"model": config.model_dump(mode="json"), "seed": seed, **document})
        return
    say(
        f"{config.title}: blocks {join_blocks(config.blocks)}, degree {report.degree}, roots '{report.strategy}', "
        f"{config.in_channels}x{dimensions(config.image_size)} images, seed {seed}"
    )
    say(*levels_tables(document))
    if out is not None:
        data = "" if dataset == "digits" else f" --dataset {dataset} --data-dir {data_dir or 'DIR'}"
        say(f"Wrote {out}; next: polyroots train --init {out}{data}")
