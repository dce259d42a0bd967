"""What a study says of a run, in the words of ``polyroots train``, and the configuration that it means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args

from polyroots.errors import InputError, unknown_name
from polyroots.models import AlphaInit, ModelConfig, model_config, name_for_blocks, name_for_degree, parse_scale
from polyroots.polynomials import parse_blocks, require_degree
from polyroots.roots import require_strategy
from polyroots.training import Device, Source, TrainConfig, describe_data, train_config

# Where a study spells a field, as the options do, other than by its own name with dashes.
_SPELT = {
    "A_init": "a-init",
    "steps_per_A": "steps-per-a",
    "clip_norm": "clip",
    "sync_batch_norm": "sync-bn",
}
# What the data, the list of seeds and the machine decide.
_NOT_SETTINGS = {"name", "image_size", "in_channels", "num_classes", "model", "seed", "device", "devices", "num_nodes"}


def _spelt(fields: Mapping[str, Any]) -> dict[str, str]:
    return {_SPELT.get(name, name.replace("_", "-")): name for name in fields if name not in _NOT_SETTINGS}


_OF_NETWORK = _spelt(ModelConfig.model_fields)
_OF_TRAINING = _spelt(TrainConfig.model_fields)

#: Every setting: what decides the network, and what decides how it is trained.
SETTINGS = ("model", "degree", "scale", *_OF_NETWORK, "recipe", *_OF_TRAINING)

#: The authors' placement, which a network has unless another one is given.
DEFAULT_PLACEMENT = "default"
_PLACEMENTS = ("placement", "quadratic_placement")

#: The settings that only a network with a polynomial has.
OF_POLYNOMIALS = ("degree", "roots", "alpha-init", "alphas")


@dataclass(frozen=True)
class Machine:
    """Where the runs of a study are done, which decides nothing of what they compute but for rounding.

    Attributes
    ----------
    data_dir : where the data lie, in place of what the study says
    device : ``"auto"`` takes an accelerator where there is one
    devices : processes of a run, a device each
    """

    data_dir: Path | None = None
    device: Device = "auto"
    devices: int = 1


def require_setting(name: str) -> None:
    """Raise InputError, with the nearest name, if there is no such setting."""
    if name == "seed":
        raise InputError("seeds are for the whole study: write 'seeds = 5' or 'seeds = [11, 23]' above all tables")
    if name in ("device", "devices", "num-nodes"):
        raise InputError(f"{name} is a matter of the machine: leave it out, and give it to 'polyroots study run'")
    if name == "blocks":
        raise InputError('blocks are a model here: write model = "L,L,C"')
    if name not in SETTINGS:
        raise unknown_name("setting", name, SETTINGS)


def config_of(settings: Mapping[str, Any], seed: int, machine: Machine) -> TrainConfig:
    """Return the complete configuration of a run.

    Raises
    ------
    InputError
        In one sentence, for the first thing that doesn't fit.
    FileError
        If a folder of images is not there; other data sets need not be.
    """
    for name, value in settings.items():
        require_setting(name)
        _require_type(name, value)
    dataset = settings.get("dataset", "digits")
    data_dir = machine.data_dir or settings.get("data-dir")
    source = _described(dataset, None if data_dir is None else Path(data_dir))
    network = _network_of(settings, source)
    for name in OF_POLYNOMIALS:
        if name in settings and not network.is_polynomial:
            raise InputError(f"{network.name} has no coefficients, so no {name}; leave it out")
    if "roots" in settings:
        require_strategy(settings["roots"])
        if settings["roots"] == "given":
            raise InputError("roots by hand are for 'polyroots init'; choose another strategy")
        origin = AlphaInit.parse(settings.get("alpha-init", "spectrum"))
        if origin.kind != "spectrum":
            raise InputError(
                f"alpha-init {origin} sets the coefficients without a spectrum, and roots {settings['roots']} chooses "
                "them from it; leave one of them out"
            )
    fields = {field: settings[name] for name, field in _OF_TRAINING.items() if name in settings}
    fields |= {"data_dir": data_dir, "device": machine.device, "devices": machine.devices, "seed": seed}
    fields.pop("dataset", None)  # it has a place of its own
    return train_config(dataset, network, settings.get("recipe"), **fields)


def _require_type(name: str, value: Any) -> None:
    """Refuse words for numbers and truth values, and the other way round, which would be converted without a word."""
    field = ModelConfig.model_fields.get(_OF_NETWORK.get(name, "")) or TrainConfig.model_fields.get(
        _OF_TRAINING.get(name, "")
    )
    takes_words = name in ("recipe", "model", "scale") or (field is not None and _admits_words(field.annotation))
    takes_truth = field is not None and field.annotation is bool
    if name == "scale" and isinstance(value, int | float) and not isinstance(value, bool):
        return
    if takes_words != isinstance(value, str):
        what = "a name in quotes" if takes_words else "no quotes"
        raise InputError(f"expected {what} for {name}, got {value!r}")
    if takes_truth != isinstance(value, bool):
        raise InputError(f"expected {'true or false' if takes_truth else 'a number'} for {name}, got {value!r}")


def _admits_words(annotation: Any) -> bool:
    """Whether a field's type has words among its values."""
    parts = get_args(annotation)
    return annotation in (str, Path) or any(isinstance(part, str) or _admits_words(part) for part in parts)


def value_of(name: str, config: TrainConfig) -> Any:
    """Return what a configuration has for a setting; None for what it doesn't have."""
    model = config.model
    if name in OF_POLYNOMIALS and not model.is_polynomial:
        return None
    if name == "roots" and config.alpha_init != "spectrum":
        return None
    if name in ("model", "degree"):
        return model.name if name == "model" else model.degree
    if name in _OF_NETWORK:
        if model.is_resnet and name not in ("channels", "max-pool"):
            return None
        value = getattr(model, _OF_NETWORK[name])
        is_default = value is None and _OF_NETWORK[name] in _PLACEMENTS
        return DEFAULT_PLACEMENT if is_default else value
    return getattr(config, _OF_TRAINING[name]) if name in _OF_TRAINING else None


def _network_of(settings: Mapping[str, Any], source: Source) -> ModelConfig:
    degree = settings.get("degree")
    if degree is not None and (type(degree) is not int or degree < 0):
        raise InputError(f"expected a degree of at least 0, got {degree!r}")
    name = settings.get("model") or ("q4" if degree is None else name_for_degree(degree))
    if "," in name:
        name = name_for_blocks(parse_blocks(name))
    options = {field: settings[key] for key, field in _OF_NETWORK.items() if key in settings}
    for field in _PLACEMENTS:
        if options.get(field) == DEFAULT_PLACEMENT:
            del options[field]
    scale = settings.get("scale")
    network = model_config(
        name,
        image_size=source.size,
        in_channels=source.channels,
        num_classes=len(source.classes),
        scale=parse_scale(scale) if isinstance(scale, str) else scale,
        **options,
    )
    if degree is not None and network.is_polynomial:
        require_degree(degree, network.blocks)
    return network


@cache
def _described(dataset: str, data_dir: Path | None) -> Source:
    """Look at a data set once, however many runs use it."""
    return describe_data(dataset, data_dir)
