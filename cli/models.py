"""``polyroots models``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from polyroots_cli.model_options import network_option, shape_fields
from polyroots_cli.options import json_option, refuse_given, usage_errors, wide_option
from polyroots_cli.types import ImageSize, Whole
from polyroots_cli.values import MODELS, one_of

if TYPE_CHECKING:
    from rich.table import Table

    from polyroots.models import Cost, ModelConfig


@click.command(short_help="List the networks with their blocks, weights and work.")
@click.argument("names", nargs=-1, shell_complete=one_of(MODELS))
@click.option("--image-size", type=ImageSize(), default="32", show_default=True, help="Image size in pixels.")
@click.option("--in-channels", type=Whole(1), default=3, show_default=True, help="Channels of the image.")
@click.option("--num-classes", type=Whole(1), default=10, show_default=True, help="Outputs.")
@network_option("channels")
@network_option("scale")
@network_option("placement")
@network_option("quadratic_placement")
@network_option("steps")
@network_option("steps_per_a")
@click.option("--placements", is_flag=True, help="List the placements of batch norm and ReLU instead.")
@json_option
@wide_option
def models(
    names: tuple[str, ...],
    image_size: tuple[int, int],
    in_channels: int,
    num_classes: int,
    scale: float | None,
    placements: bool,
    as_json: bool,
    **some_networks: Any,
) -> None:
    """List the networks that --model takes, or NAMES, which may be block sequences, with their cost for one image.

    Blocks: L one real root, R two real roots, S two real roots of opposite sign, C a conjugate pair. A: number of
    applications of the convolutions A. Inert: number of coefficients whose size batch norm cancels, of all.

    \b
    Examples:
      polyroots models --image-size 28 --in-channels 1
      polyroots models q2 resnet18 --scale 1/sqrt2
      polyroots models q4 L,C,C,C --placement smoother
      polyroots models --placements
    """
    from polyroots.models import NAMES, cost, model_config
    from polyroots_cli.console import print_json, say

    if placements:
        if names:
            raise click.UsageError("--placements lists no networks; leave the names out")
        refuse_given(
            ("image_size", "in_channels", "num_classes", "scale", *some_networks), "--placements lists no networks"
        )
        _print_placements(as_json)
        return
    given = {name: value for name, value in some_networks.items() if value is not None}
    if given and not names:
        option = next(iter(given))
        example = "mgnet-ab" if option == "steps" else "q4"
        option = option.replace("_", "-")
        raise click.UsageError(
            f"--{option} is not for all networks; name some: polyroots models {example} --{option} ..."
        )
    shape: dict[str, Any] = {
        "image_size": image_size,
        "in_channels": in_channels,
        "num_classes": num_classes,
        "scale": scale,
    }
    rows = []
    with usage_errors():
        for name in names or NAMES:
            config = model_config(name, **shape, **shape_fields(given))
            rows.append((config, cost(config)))
    if as_json:
        print_json([_document(*row) for row in rows])
        return
    from polyroots.training import BEST

    say(_table(rows, BEST["model"]))
    say(
        "\nA: applications of the convolutions A to an image. Inert: coefficients, or common factors of a block's two,",
        "whose size batch norm cancels. A level counts with the restriction and "
        "prolongation to it; stem and head are the rest.",
    )
    if any(config.name == BEST["model"] for config, _ in rows):
        say(
            f"* With --relax {BEST['relax']} --lr {BEST['lr']} the best Poly-MgNet that was found for photographs:",
            "what 'polyroots train' takes for CIFAR-10, CIFAR-100 and folders.",
        )


def _document(config: ModelConfig, found: Cost) -> dict[str, Any]:
    polynomial = config.is_polynomial
    return {
        "name": config.name,
        "blocks": list(config.blocks) if polynomial else None,
        "degree": config.degree if polynomial else None,
        "channels": list(config.channels),
        "placements": [str(placement) for placement in config.placements] if polynomial else None,
        **asdict(found),
    }


def _table(rows: list[tuple[ModelConfig, Cost]], marked: str) -> Table:
    from polyroots.tables import table

    result = table(
        *("model", "blocks", "channels", "degree", "weights", "% by level", "A", "multiply-adds", "inert"),
        left=3,
        less_important=("% by level", "inert", "degree"),
    )
    for config, found in rows:
        result.add_row(
            f"{config.name} *" if config.name == marked else config.name,
            ",".join(config.blocks) if config.is_polynomial else "-",
            ",".join(map(str, config.channels)),
            str(config.degree) if config.is_polynomial else "-",
            f"{found.weights:,}",
            " ".join(f"{100 * weights / found.weights:.0f}" for weights in found.level_weights),
            "-" if found.applications is None else str(found.applications),
            f"{found.multiply_adds / 1e6:,.1f} M",
            f"{len(found.inert)} of {found.coefficients}" if found.coefficients else "-",
        )
    return result


def _print_placements(as_json: bool) -> None:
    from polyroots.models import PLACEMENTS
    from polyroots.tables import table
    from polyroots_cli.console import print_json, say

    if as_json:
        print_json(
            [{"name": name, **asdict(placement), "text": str(placement)} for name, placement in PLACEMENTS.items()]
        )
        return
    columns = ("of the residual", "of p(A) rho(r)", "of the features")
    result = table("name", "RHO,UPDATE,OUTPUT", *columns, left=5, less_important=columns)
    for name, placement in PLACEMENTS.items():
        update = f"{placement.update}, of the A-term alone" if placement.on_A_term else placement.update
        where = {"step": "", "level": ", once a level", "exit": ", as they leave the level"}[placement.where]
        result.add_row(name, str(placement), placement.rho, update, f"{placement.output}{where}")
    say(result)
    say(
        "\nA step is u <- OUTPUT(u + UPDATE(p(A) RHO(r))). By default a network of linear blocks alone has outside-bn;",
        "in others L and S have regular, R and C outside; a MgNet has regular.",
    )
