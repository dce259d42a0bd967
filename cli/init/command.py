"""The command ``polyroots init``: its options, and the request to the library that they make."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polyroots_cli.help import GroupedCommand
from polyroots_cli.model_options import RARE, SECTIONS, NetworkRequest, model_options, refuse_shape
from polyroots_cli.options import (
    architecture_options,
    data_dir_option,
    dataset_option,
    entry_option,
    geometry_options,
    json_option,
    layer_option,
    region_option,
    seed_option,
    usage_errors,
    was_given,
    wide_option,
    with_options,
)
from polyroots_cli.types import DIRECTORY, FILE, OUTPUT, ImageSize, Root, Sweeps
from polyroots_cli.values import STRATEGIES

if TYPE_CHECKING:
    from polyroots.checkpoints import Rules
    from polyroots.initialization import InitRequest, InitResult
    from polyroots.models import ModelConfig

_GEOMETRY = ("stride", "dilation", "groups")


@click.command(
    short_help="Choose roots from spectra: set a network's coefficients, diagnose them, compare strategies.",
    cls=GroupedCommand,
    sections={
        "Network that is drawn": (*SECTIONS["Network"], "dataset", "data_dir", "image_size", "seed"),
        "Layers of CHECKPOINT": ("layers", "arch", "arch_options", "entry", *_GEOMETRY),
        "Roots and coefficients": (
            *("roots", "given", "keep_pairs", "region", "spectrum_padding"),
            *SECTIONS["Coefficients"][1:],
        ),
        "Output": ("compare", "two_grid", "sweeps", "plot_dir", "out", "as_json", "wide"),
    },
    rare=(*RARE, "spectrum_padding", "keep_pairs", "arch_options", "entry", *_GEOMETRY, "sweeps", "wide"),
)
@click.argument("checkpoint", type=FILE, required=False)
@model_options(f"{', '.join(STRATEGIES[:-1])}; or given, roots by hand with --root")
@click.option("--root", "given", type=Root(), multiple=True, help="A root by hand, such as 0.1+0.2j; repeatable.")
@click.option("--keep-pairs", is_flag=True, help="extremal: keep conjugate pairs of extreme real part.")
@region_option
@click.option(
    "--spectrum-padding",
    type=click.Choice(["circular", "zeros"]),
    default="circular",
    show_default=True,
    help="Boundary of the operator whose spectrum is taken, whatever the network has.",
)
@click.option(
    "--image-size",
    type=ImageSize(),
    help="Colour images of this size, without --dataset. [CHECKPOINT: 32 for all layers; with --arch 224]",
)
@dataset_option
@data_dir_option
@entry_option
@architecture_options
@geometry_options
@layer_option("layers", "Of CHECKPOINT, only such layers; repeatable.")
@seed_option("Of fresh weights and of strategies that draw.")
@click.option("--compare", is_flag=True, help="Rank all strategies in one table.")
@click.option("--two-grid", is_flag=True, help="Convergence factor of the smoother with a coarse-grid correction.")
@click.option(
    "--sweeps",
    type=Sweeps(),
    default="1,0",
    show_default=True,
    help="--two-grid: smoothing steps before and after the correction.",
)
@click.option("--plot", "plot_dir", type=DIRECTORY, help="Draw each level's spectrum, roots and |q| to this directory.")
@click.option("--out", type=OUTPUT, help="Write the network with its coefficients here, for 'polyroots train --init'.")
@json_option
@wide_option
def init(  # noqa: PLR0913 - click passes each option by its name
    checkpoint: Path | None,
    request: NetworkRequest,
    given: tuple[complex, ...],
    keep_pairs: bool,
    region: str,
    spectrum_padding: str,
    image_size: tuple[int, int] | None,
    dataset: str,
    data_dir: Path | None,
    entry: str | None,
    arch: str | None,
    arch_options: tuple[str, ...],
    stride: Rules,
    dilation: Rules,
    groups: Rules,
    layers: tuple[str, ...],
    seed: int,
    compare: bool,
    two_grid: bool,
    sweeps: tuple[int, int],
    plot_dir: Path | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Choose roots from the spectrum of each convolution A, and set the coefficients that they make.

    Without CHECKPOINT a network is drawn; the data set decides image size, channels and classes, its images are not
    read. A Poly-MgNet in CHECKPOINT keeps its weights and gets new coefficients; of any other one every square
    convolution is taken as an operator of its own, and so is the matrix of a file of MatrixMarket (.mtx) or of
    scipy.sparse.save_npz (.npz). The tables show each level's spectrum, the roots and coefficients
    alpha of its blocks, and how well they damp the spectrum. --degree alone chooses the blocks that fit the roots.

    \b
    Examples:
      polyroots init --degree 3 --roots extremal
      polyroots init --degree 3 --compare
      polyroots init --model q2 --dataset folder --data-dir cifar10 --out init.pt
      polyroots init runs/first --roots leja --plot pictures --out again.pt
      polyroots init resnet18.pth --arch torchvision:resnet18 --layer 'layer1.*'
      polyroots init stencil.pt --degree 1 --roots minimax --region high
      polyroots init matrix.mtx --degree 7 --roots minimax
    """
    import flint  # noqa: F401 - after torch, whose libraries have very many symbols, it takes 0.1 s, not 0.02

    from polyroots.checkpoints import Geometry, checkpoint_in, save_checkpoint
    from polyroots.files import are_same, make_directory
    from polyroots.initialization import InitRequest
    from polyroots_cli.init.report import draw, print_report, print_written
    from polyroots_cli.spectrum.architecture import architecture_of

    if checkpoint is not None:
        checkpoint = checkpoint_in(checkpoint)
    if checkpoint is not None and out is not None and are_same(out, checkpoint):
        raise click.UsageError(f"--out {out} is the checkpoint itself, and would be overwritten; choose another file")
    with usage_errors():
        source = _source(checkpoint, request, image_size, dataset, data_dir, layers)
        geometry = Geometry(stride, dilation, groups)
        if checkpoint is None and (geometry.rules or arch or entry):
            option = "arch" if arch else "entry" if entry else geometry.rules[0][0]
            raise click.UsageError(f"--{option} is of the layers of CHECKPOINT, and none is given")
        architecture = architecture_of(arch, arch_options, image_size if arch else None, geometry, None)
        strategy, options = _strategy(request, given, keep_pairs, seed)
        is_left_to_roots = not request.names_blocks and request.origin_of_alphas.needs_spectrum
        asked = InitRequest(
            degree=request.degree,
            strategy=strategy,
            options=options,
            alpha_init=request.alpha_init,
            relax="none" if request.relax is None else request.relax,
            signs=request.signs or "paper",
            region=region,
            padding=spectrum_padding,
            seed=seed,
            compare=compare,
            free_blocks=is_left_to_roots,
            blocks=request.given_blocks if checkpoint is not None else None,
            image_size=image_size if checkpoint is not None and architecture is None else None,
            geometry=geometry if geometry.rules else None,
            architecture=architecture,
            entry=entry,
            layers=layers,
            needs_network=out is not None,
            two_grid=_sweeps(two_grid, sweeps),
        )
    if plot_dir is not None:
        make_directory(plot_dir)
    result = _initialize(source, asked)
    # Written before anything is printed: if it can't be, the error is the only output.
    if out is not None and result.error is None:
        save_checkpoint(out, result.checkpoint())
    # With --compare alone, the report on the default strategy is not asked for.
    is_asked = not compare or bool(given or out or plot_dir or two_grid) or was_given("roots")
    title = f"seed {seed}" if checkpoint is None else str(checkpoint)
    print_report(result, asked, title, as_json, is_asked=is_asked)
    if result.error is not None:
        if is_asked:
            raise result.error
        return
    if plot_dir is not None:
        draw(result, plot_dir)
    if not as_json:
        print_written(result, plot_dir, out, _data_options(result, data_dir) if out is not None else "")


def _initialize(source: ModelConfig | Path, request: InitRequest) -> InitResult:
    """Run the library's initialisation with a progress bar; fields that don't go together are usage errors."""
    from polyroots.initialization import RequestError, initialize_from
    from polyroots_cli.console import progress

    with progress() as bar:
        task = bar.add_task("eigenvalues", total=None)
        try:
            return initialize_from(
                source,
                request,
                on_progress=lambda what, done, total: bar.update(task, description=what, completed=done, total=total),
            )
        except RequestError as error:
            raise click.UsageError(with_options(error, click.get_current_context().command)) from error


def _source(
    checkpoint: Path | None,
    request: NetworkRequest,
    image_size: tuple[int, int] | None,
    dataset: str,
    data_dir: Path | None,
    layers: tuple[str, ...],
) -> ModelConfig | Path:
    """Return the file, or the configuration of the network to draw."""
    if checkpoint is not None:
        if was_given("padding"):
            raise click.UsageError(
                f"--padding is of a network that is drawn, and {checkpoint} brings its own convolutions; the "
                "boundary that their spectrum is taken with is --spectrum-padding"
            )
        refuse_shape(f"{checkpoint} brings its own convolutions", "dataset", "data_dir")
        return checkpoint
    if layers:
        raise click.UsageError("--layer chooses layers of CHECKPOINT, and none is given")
    config = _configuration(request, image_size, dataset, data_dir)
    config.blocks  # noqa: B018 - a network without any is refused here
    return config


def _configuration(
    request: NetworkRequest, image_size: tuple[int, int] | None, dataset: str, data_dir: Path | None
) -> ModelConfig:
    """Return the configuration of the network to draw."""
    from polyroots.training import describe_data
    from polyroots_cli.network import config_for

    if image_size is None:
        return config_for(request, describe_data(dataset, data_dir))
    if was_given("dataset") or was_given("data_dir"):
        raise click.UsageError("--image-size and the data set both decide the images' size; leave one of them out")
    return request.config(image_size=image_size)


def _strategy(
    request: NetworkRequest, given: tuple[complex, ...], keep_pairs: bool, seed: int
) -> tuple[str, dict[str, Any]]:
    """Return the strategy and its options."""
    from polyroots.roots import options_of, require_strategy

    roots = request.roots
    request.origin_of_alphas.require_alone(given=bool(given), keep_pairs=keep_pairs)
    if given:
        if was_given("roots") and roots != "given":
            raise click.UsageError(f"--root gives the roots by hand, and --roots {roots} chooses them; leave one out")
        if keep_pairs:
            raise click.UsageError("--keep-pairs is an option of 'extremal', and --root gives the roots by hand")
        return "given", {"roots": list(given)}
    require_strategy(roots)
    if roots == "given":
        raise click.UsageError("--roots given needs the roots, such as --root 0.3 --root 0.1+0.2j")
    if keep_pairs and roots != "extremal":
        raise click.UsageError(f"--keep-pairs is an option of 'extremal', got --roots {roots}; leave one of them out")
    options: dict[str, Any] = {"seed": seed} if "seed" in options_of(roots) else {}
    return roots, options | ({"project": False} if keep_pairs else {})


def _sweeps(two_grid: bool, sweeps: tuple[int, int]) -> tuple[int, int] | None:
    """Return the numbers of smoothing steps of a two-grid analysis; None where it is not asked for."""
    if was_given("sweeps") and not two_grid:
        raise click.UsageError("--sweeps is an option of --two-grid, which is not given")
    return sweeps if two_grid else None


def _data_options(result: InitResult, data_dir: Path | None) -> str:
    """Return the options of ``polyroots train`` that name a network's images; none for the embedded digits."""
    from polyroots.training import describe_data

    assert result.network is not None
    config = result.network.config
    digits = describe_data("digits", None)
    if (config.in_channels, config.image_size) == (digits.channels, digits.image_size):
        return ""
    dataset = click.get_current_context().params["dataset"] if was_given("dataset") else "folder"
    return f" --dataset {shlex.quote(dataset)} --data-dir {shlex.quote(str(data_dir or 'DIR'))}"
