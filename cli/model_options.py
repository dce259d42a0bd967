"""The options that choose a network, its initial weights and its roots: the same for every command that builds one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from polyroots_cli.options import refuse_given, was_given
from polyroots_cli.types import Channels, Scale, Whole
from polyroots_cli.values import ALPHA_INITS, MODELS, PLACEMENTS, STRATEGIES, one_of

if TYPE_CHECKING:
    from polyroots.models import AlphaInit, ModelConfig, Signs

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class NetworkRequest:
    """Values of the options that choose a network; None where they were left out."""

    model: str | None
    blocks: str | None
    degree: int | None
    channels: tuple[int, ...] | None
    scale: float | None
    placement: str | None
    quadratic_placement: str | None
    steps: int | None
    steps_per_a: int | None
    padding: str | None
    a_init: str | None
    alphas: str | None
    max_pool: bool | None
    roots: str
    alpha_init: str
    relax: str | None
    signs: Signs | None

    @property
    def name(self) -> str:
        """Name of the network, from --model, --blocks or else --degree."""
        from polyroots.models import name_for_blocks, name_for_degree
        from polyroots.polynomials import parse_blocks

        if self.model is not None:
            if self.blocks is not None:
                raise click.UsageError(
                    f"--model {self.model} and --blocks {self.blocks} both choose the network; leave one of them out"
                )
            return self.model
        if self.blocks is not None:
            return name_for_blocks(parse_blocks(self.blocks))
        return "q4" if self.degree is None else name_for_degree(self.degree)

    def or_default(self, dataset: str, recipe: str | None) -> tuple[NetworkRequest, float | None]:
        """Return the request and None, or where the options choose no network, that of a data set and its rate."""
        from polyroots.training import default_network

        if self.names_blocks or self.degree is not None:
            return self, None
        has_coefficients = any(was_given(name) for name in ("alpha_init", "roots", "relax", "signs"))
        default = default_network(dataset, recipe, has_coefficients=has_coefficients)
        rate = default.pop("lr", None)
        return replace(self, **default), rate

    @property
    def names_blocks(self) -> bool:
        """Whether the options choose the blocks; otherwise the roots may."""
        return self.model is not None or self.blocks is not None or self.steps_per_a is not None

    @property
    def given_blocks(self) -> tuple[str, ...] | None:
        """The blocks of --model or --blocks; None without these options."""
        from polyroots.models import blocks_of

        return None if self.model is None and self.blocks is None else blocks_of(self.name)

    @property
    def origin_of_alphas(self) -> AlphaInit:
        """The origin that --alpha-init names; without a spectrum --roots is refused."""
        from polyroots.models import AlphaInit

        alpha_init = AlphaInit.parse(self.alpha_init)
        alpha_init.require_alone(**{name: was_given(name) for name in ("roots", "relax", "signs")})
        return alpha_init

    def config(self, *, image_size: tuple[int, int], **shape: Any) -> ModelConfig:
        """Return the configuration of the network for images of a shape, as `polyroots.models.model_config` does."""
        from polyroots.models import model_config
        from polyroots.polynomials import require_degree
        from polyroots.roots import require_strategy

        require_strategy(self.roots)
        self.origin_of_alphas  # noqa: B018 - refuses contradictory options
        config = model_config(self.name, image_size=image_size, **shape, **shape_fields(vars(self)))
        if self.degree is not None:
            require_degree(self.degree, config.blocks)
        for name in ("roots", "alpha_init", "relax", "signs"):
            if was_given(name) and not (config.is_polynomial or config.is_own):
                option = name.replace("_", "-")
                raise click.UsageError(f"{config.name} has no coefficients to set; leave --{option} out")
        return config


# Options that shape or draw a network, without those that choose its blocks: option -> parameter of `model_config`.
_SHAPE = {
    "channels": "channels",
    "scale": "scale",
    "placement": "placement",
    "quadratic_placement": "quadratic_placement",
    "steps": "steps",
    "steps_per_a": "steps_per_A",
    "padding": "padding",
    "a_init": "A_init",
    "alphas": "alphas",
    "max_pool": "max_pool",
}


def shape_fields(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that shape a network and were given, as parameters of `polyroots.models.model_config`."""
    return {_SHAPE[name]: value for name, value in options.items() if name in _SHAPE and value is not None}


def model_options(strategies: str) -> Callable[[F], F]:
    """Add the options that choose a network, its initial weights and its roots; the command gets a `NetworkRequest`.

    Parameters
    ----------
    strategies : str
        The strategies of --roots, in its help.
    """

    def decorator(command: F) -> F:
        @wraps(command)
        def with_request(*args: Any, **values: Any) -> Any:
            request = NetworkRequest(**{field.name: values.pop(field.name) for field in fields(NetworkRequest)})
            return command(*args, request=request, **values)

        result: Any = with_request
        for option in reversed((_OPTIONS | {"roots": _roots_option(strategies)}).values()):
            result = option(result)
        return cast("F", result)

    return decorator


def _roots_option(strategies: str) -> Callable[[Any], Any]:
    return click.option(
        "--roots",
        default="extremal",
        show_default=True,
        metavar="NAME",
        shell_complete=one_of(STRATEGIES),
        help=f"Strategy that chooses the roots from the spectrum: {strategies}.",
    )


def network_option(name: str) -> Callable[[F], F]:
    """Return one of these options."""
    return _OPTIONS[name]


def refuse_shape(what: str, *besides: str) -> None:
    """Raise a usage error if an option that shapes a network is given, or one of `besides`; `what` is the reason."""
    refuse_given((*besides, *_SHAPE), what)


_OPTIONS: dict[str, Callable[[Any], Any]] = {
    "model": click.option(
        "--model",
        metavar="NAME",
        shell_complete=one_of(MODELS),
        help=f"{', '.join(MODELS)}; or MODULE:CALLABLE, your code, which is run. [default: q4; train: q2 on photos]",
    ),
    "blocks": click.option("--blocks", metavar="L,L,C", help="A sequence of blocks L, R, S, C instead of a name."),
    "degree": click.option(
        "--degree",
        type=Whole(0),
        help="Degree d of the polynomial p, which has d + 1 roots; chooses the blocks if nothing else does.",
    ),
    "channels": click.option(
        "--channels", type=Channels(), help="Channels of each level. [default: by the image size]"
    ),
    "scale": click.option("--scale", type=Scale(), help="Scale the default channels, such as 0.5, sqrt2 or 1/sqrt8."),
    "placement": click.option(
        "--placement",
        metavar="NAME",
        shell_complete=one_of(PLACEMENTS),
        help="Where batch norm and ReLU stand; 'polyroots models --placements' lists them. [default: the authors']",
    ),
    "quadratic_placement": click.option(
        "--quadratic-placement",
        metavar="NAME",
        shell_complete=one_of(PLACEMENTS),
        help="The same, of the blocks R and C alone.",
    ),
    "steps": click.option("--steps", type=Whole(1), help="Steps of a MgNet's level. [default: 2]"),
    "steps_per_a": click.option(
        "--steps-per-a", type=Whole(1), help="Steps of a level that share one A. [default: all]"
    ),
    "padding": click.option(
        "--padding",
        type=click.Choice(["zeros", "circular"]),
        help="Of the network's A and B; circular makes A what the symbol describes. [default: zeros]",
    ),
    "a_init": click.option(
        "--a-init",
        type=click.Choice(["kaiming", "shifted"]),
        help="Draw A as torch does, or as the identity plus noise, with its spectrum in the right half-plane. "
        "[default: kaiming]",
    ),
    "alphas": click.option(
        "--alphas", type=click.Choice(["trained", "fixed"]), help="Train the coefficients or not. [default: trained]"
    ),
    "max_pool": click.option(
        "--max-pool", is_flag=True, default=None, help="resnet18: pool after the stem, as for ImageNet."
    ),
    "roots": _roots_option(""),
    "alpha_init": click.option(
        "--alpha-init",
        default="spectrum",
        show_default=True,
        metavar="NAME",
        shell_complete=one_of(ALPHA_INITS),
        help="Origin of the coefficients: spectrum, from roots; xavier or uniform[:LOW,HIGH], random as the authors'; "
        "constant[:VALUE].",
    ),
    "relax": click.option(
        "--relax",
        metavar="W|auto|none",
        shell_complete=one_of(("auto", "none")),
        help="Divide the roots by W: below 1 they move outwards, above 1 inwards; auto[:BOUND]: the largest W up to 1 "
        "with which no level amplifies by more than the bound. [default: none; train: auto]",
    ),
    "signs": click.option(
        "--signs",
        type=click.Choice(["paper", "placement"]),
        help="Signs of real roots: as the strategy chooses them, or positive where a linear block has a ReLU both "
        "before and after its coefficient. [default: paper; train: placement]",
    ),
}

_COEFFICIENTS = ("roots", "alpha_init", "relax", "signs", "alphas")
#: Heading -> its options, for the help of a command.
SECTIONS = {
    "Network": tuple(name for name in _OPTIONS if name not in _COEFFICIENTS),
    "Coefficients": _COEFFICIENTS,
}
#: Those that --help leaves out.
RARE = (
    *("channels", "quadratic_placement", "steps", "steps_per_a", "padding", "a_init", "alphas", "max_pool"),
    "signs",
)
