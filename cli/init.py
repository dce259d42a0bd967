"""``polyroots init``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polyroots.errors import PolyrootsError

from .model_options import NetworkRequest, model_options, refuse_shape
from .options import (
    PATH,
    ImageSize,
    Root,
    data_dir_option,
    dataset_option,
    json_option,
    region_option,
    seed_option,
    usage_errors,
    was_given,
)

if TYPE_CHECKING:
    from polyroots.initialization import Row
    from polyroots.models import ModelConfig
    from polyroots.roots import RootChoice


@click.command(short_help="Choose roots from spectra: set a network's coefficients, diagnose them, compare strategies.")
@click.argument("checkpoint", type=PATH, required=False)
@model_options
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
@click.option("--image-size", type=ImageSize(), help="Colour images of this size, without --dataset. [CHECKPOINT: 32]")
@dataset_option
@data_dir_option
@click.option("--layer", "globs", multiple=True, metavar="GLOB", help="Of CHECKPOINT, only such layers; repeatable.")
@seed_option("Of fresh weights and of strategies that draw.")
@click.option("--compare", is_flag=True, help="Rank all strategies in one table.")
@click.option("--plot", "plot_dir", type=PATH, help="Draw each level's spectrum, roots and |q| to this directory.")
@click.option("--out", type=PATH, help="Write the network with its coefficients here, for 'polyroots train --init'.")
@json_option
def init(
    checkpoint: Path | None,
    request: NetworkRequest,
    given: tuple[complex, ...],
    keep_pairs: bool,
    region: str,
    spectrum_padding: str,
    image_size: tuple[int, int] | None,
    dataset: str,
    data_dir: Path | None,
    globs: tuple[str, ...],
    seed: int,
    compare: bool,
    plot_dir: Path | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Choose roots from the spectrum of each convolution A, and set the coefficients that they make.

    Without CHECKPOINT a network is drawn; the data set decides image size, channels and classes, its images are not
    read. A Poly-MgNet in CHECKPOINT keeps its weights and gets new coefficients; of any other one every square
    convolution is taken as an operator of its own. The tables show each level's spectrum, the roots and coefficients
    alpha of its blocks, and how well they damp the spectrum. --degree alone picks the blocks that the roots ask for.

    \b
    Strategies (--roots): extremal, real, complex, largest, smallest, leja, chebyshev, harmonic-ritz,
    least-squares, minimax, random, given (--root).

    \b
    Examples:
      polyroots init --degree 3 --roots extremal
      polyroots init --degree 3 --compare
      polyroots init runs/first/last.pt --roots leja --plot pictures --out again.pt
      polyroots init poisson.pt --image-size 32 --degree 1 --roots minimax --region high
      polyroots init --model q2 --dataset folder --data-dir cifar10 --out init.pt
      polyroots init --blocks C,C --placement smoother --padding circular --a-init shifted --roots minimax
    """
    from polyroots.checkpoints import Checkpoint, save_checkpoint
    from polyroots.files import make_directory
    from polyroots.initialization import choose_for_all, draw_alphas, rank, report_on, set_roots
    from polyroots.polynomials import require_degree
    from polyroots.roots import completed
    from polyroots.text import count_of

    from .console import progress, say
    from .init_report import draw, print_report
    from .init_subject import drawn, read
    from .network import origin_of

    with usage_errors():
        roots, options = _strategy(request.roots, given, keep_pairs, seed)
        alpha_init = request.origin_of_alphas
    is_drawn = alpha_init.kind != "spectrum"
    if is_drawn and (given or compare):
        raise click.UsageError(
            f"--alpha-init {request.alpha_init} sets the coefficients without a spectrum; "
            "leave --root and --compare out"
        )
    if region == "high" and spectrum_padding == "zeros":
        raise click.UsageError(
            "--region high needs --spectrum-padding circular: zero-padded eigenvalues have no frequency"
        )
    if checkpoint is not None and out is not None and out.resolve() == checkpoint.resolve():
        raise click.UsageError(f"--out {out} is the checkpoint itself, and would be overwritten; choose another file")

    with progress() as bar:
        task = bar.add_task("eigenvalues", total=None)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        if checkpoint is None:
            if globs:
                raise click.UsageError("--layer chooses layers of CHECKPOINT, and none is given")
            with usage_errors():
                config = _configuration(request, image_size, dataset, data_dir)
                config.blocks  # noqa: B018 - a network without any is refused here
            is_fixed = request.names_blocks or is_drawn
            subject = drawn(config, seed, region, spectrum_padding, is_fixed=is_fixed, on_operand=advance)
        else:
            if was_given("padding"):
                raise click.UsageError(
                    f"--padding is of a network that is drawn, and {checkpoint} brings its own convolutions; the "
                    "boundary that their spectrum is taken with is --spectrum-padding"
                )
            refuse_shape(f"{checkpoint} brings its own convolutions", "dataset", "data_dir")
            subject = read(checkpoint, request, image_size, globs, region, spectrum_padding, on_operand=advance)
            if is_drawn and subject.network is None:
                raise click.UsageError(f"{checkpoint} is no Poly-MgNet and has no coefficients; leave --alpha-init out")
    with usage_errors():
        if subject.blocks is not None:
            require_degree(request.degree, subject.blocks)
        elif given and request.degree is not None and request.degree != len(completed(given)) - 1:
            count = len(completed(given))
            raise click.UsageError(
                f"--root gives {count_of(count, 'root')} with conjugates, which is degree {count - 1}, and --degree "
                f"{request.degree} asks for {request.degree + 1}; leave --degree out"
            )
    if out is not None and subject.network is None:
        raise click.UsageError(f"{checkpoint} is no Poly-MgNet, so it has no coefficients to set; leave --out out")
    if plot_dir is not None:
        make_directory(plot_dir)

    # A comparison alone is no request for the default.
    is_asked = not compare or bool(given or out or plot_dir) or was_given("roots")
    rows: list[Row] = []
    if compare:
        with progress() as bar:
            task = bar.add_task("strategies", total=None)
            rows = rank(
                subject.operands,
                request.degree if not given else len(completed(given)) - 1 if subject.blocks is None else None,
                seed=seed,
                given=given,
                present=subject.present(),
                on_row=lambda row: bar.update(task, description=row.strategy),
            )
    network = subject.network
    choices: list[RootChoice] = []
    if not is_drawn:
        try:
            choices = choose_for_all(subject.operands, request.degree, roots, options)
        except PolyrootsError as error:
            # What the other strategies reach is the best answer to the failure of one.
            if rows:
                print_report(subject, None, rows, region, as_json, error=str(error) if is_asked else "")
            if is_asked or not rows:
                raise
            return
        with usage_errors():
            network = subject.network_with(choices[0].blocks)
        if network is not None:
            set_roots(network, choices)
    with progress() as bar:
        task = bar.add_task("diagnosis", total=len(subject.operands))
        if is_drawn:
            assert network is not None
            report = draw_alphas(
                network,
                alpha_init,
                subject.operands,
                seed if subject.seed is None else None,  # a drawn network's follow its weights, as in training
                lambda _: bar.advance(task),
            )
        else:
            report = report_on(subject.operands, choices, options, network, lambda _: bar.advance(task))
    if out is not None:
        assert network is not None
        save_checkpoint(
            out, Checkpoint(network.config, network.state_dict(), report.to_dict(), subject.training_before())
        )
    if plot_dir is not None:
        draw(subject, report, plot_dir)
    print_report(subject, report, rows, region, as_json, network, is_asked=is_asked)
    if as_json:
        return
    if plot_dir is not None:
        say(f"Pictures in {plot_dir}")
    if out is not None:
        assert network is not None
        say(
            f"Wrote {out}, {origin_of(report.to_dict())}; next: polyroots train --init {out}"
            f"{_data_options(network.config, data_dir)}"
        )


def _data_options(config: ModelConfig, data_dir: Path | None) -> str:
    """Options of ``polyroots train`` that name the images of a network; none for the embedded digits."""
    from polyroots.training import describe_data

    digits = describe_data("digits", None)
    if (config.in_channels, config.image_size) == (digits.channels, digits.size):
        return ""
    dataset = click.get_current_context().params["dataset"] if was_given("dataset") else "folder"
    return f" --dataset {dataset} --data-dir {data_dir or 'DIR'}"


def _strategy(roots: str, given: tuple[complex, ...], keep_pairs: bool, seed: int) -> tuple[str, dict[str, Any]]:
    """Return the strategy and its options."""
    from polyroots.roots import options_of, require_strategy

    if given:
        if was_given("roots") and roots != "given":
            raise click.UsageError(f"--root gives the roots by hand, and --roots {roots} chooses them; leave one out")
        return "given", {"roots": list(given)}
    require_strategy(roots)
    if roots == "given":
        raise click.UsageError("--roots given needs the roots, such as --root 0.3 --root 0.1+0.2j")
    if keep_pairs and roots != "extremal":
        raise click.UsageError(f"--keep-pairs is an option of 'extremal', got --roots {roots}; leave one of them out")
    options: dict[str, Any] = {"seed": seed} if "seed" in options_of(roots) else {}
    return roots, options | ({"project": False} if keep_pairs else {})


def _configuration(
    request: NetworkRequest, image_size: tuple[int, int] | None, dataset: str, data_dir: Path | None
) -> ModelConfig:
    """Return the configuration of the network to draw."""
    from polyroots.training import describe_data

    from .network import config_for

    if image_size is None:
        return config_for(request, describe_data(dataset, data_dir))
    if was_given("dataset") or was_given("data_dir"):
        raise click.UsageError("--image-size and the data set both decide the images' size; leave one of them out")
    return request.config(image_size=image_size)
