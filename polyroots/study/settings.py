"""The settings of study files, which are spelled as the options of ``polyroots train``, and their configurations."""

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
from polyroots.text import quoted
from polyroots.training import Device, Source, TrainConfig, default_network, describe_data, train_config

# Settings that are not spelled as their field with dashes.
_SPELT = {
    "A_init": "a-init",
    "steps_per_A": "steps-per-a",
    "clip_norm": "clip",
    "sync_batch_norm": "sync-bn",
}
# Fields that the data, the list of seeds and the machine set.
_NOT_SETTINGS = {"name", "image_size", "in_channels", "num_classes", "model", "seed", "device", "devices", "num_nodes"}


def _spelt(fields: Mapping[str, Any]) -> dict[str, str]:
    return {_SPELT.get(name, name.replace("_", "-")): name for name in fields if name not in _NOT_SETTINGS}


_OF_NETWORK = _spelt(ModelConfig.model_fields)
_OF_TRAINING = _spelt(TrainConfig.model_fields)

#: All settings: those of the network, and those of its training.
SETTINGS = ("model", "degree", "scale", *_OF_NETWORK, "recipe", *_OF_TRAINING)

#: The setting for the network's own placement.
DEFAULT_PLACEMENT = "default"
_PLACEMENTS = ("placement", "quadratic_placement")

#: The settings of Poly-MgNets only.
OF_POLYNOMIALS = ("degree", "roots", "alpha-init", "relax", "signs", "alphas")


# Those that only go with coefficients from a spectrum.
_OF_SPECTRA = ("roots", "relax", "signs")


@dataclass(frozen=True)
class Machine:
    """The machine that a study runs on; it changes the results by rounding only.

    Attributes
    ----------
    data_dir : directory of the data, in place of the study file's
    device : ``"auto"`` takes an accelerator where there is one
    devices : number of devices of a run, with a process for each
    """

    data_dir: Path | None = None
    device: Device = "auto"
    devices: int = 1


def require_setting(name: str) -> None:
    """Raise InputError, with the nearest name, if there is no such setting."""
    if name == "seed":
        raise InputError("seeds are for the whole study: write 'seeds = 5' or 'seeds = [11, 23]' above all tables")
    if name in ("device", "devices", "num-nodes"):
        raise InputError(f"{name} belongs to the machine: leave it out here, and give it to 'polyroots study run'")
    if name == "blocks":
        raise InputError('a sequence of blocks is a model in a study: write model = "L,L,C"')
    if name not in SETTINGS:
        raise unknown_name("setting", name, SETTINGS)


def config_of(settings: Mapping[str, Any], seed: int, machine: Machine) -> TrainConfig:
    """Return the complete configuration of a run.

    Parameters
    ----------
    settings : mapping
        Names of `SETTINGS` with their values; the others have the defaults of `polyroots train`.
    seed : int
    machine : Machine

    Returns
    -------
    TrainConfig

    Raises
    ------
    InputError
        In one sentence, for the first setting that can't be used.
    FileError
        If a folder of images is missing; other data sets may be missing until training starts.
    """
    for name, value in settings.items():
        require_setting(name)
        _require_type(name, value)
    dataset = settings.get("dataset", "digits")
    if settings.get("model") is None and settings.get("degree") is None:
        has_coefficients = any(name in settings for name in ("alpha-init", *_OF_SPECTRA))
        settings = {**default_network(dataset, settings.get("recipe"), has_coefficients=has_coefficients), **settings}
    data_dir = machine.data_dir or settings.get("data-dir")
    source = _described(dataset, None if data_dir is None else Path(data_dir))
    network = _network_of(settings, source)
    for name in OF_POLYNOMIALS:
        if name in settings and not (network.is_polynomial or (network.is_own and name in _OF_TRAINING)):
            raise InputError(f"{network.name} has no coefficients, so {name} doesn't apply; leave it out")
    if "roots" in settings:
        require_strategy(settings["roots"])
        if settings["roots"] == "given":
            raise InputError("roots 'given' is for 'polyroots init' only; choose another strategy")
    AlphaInit.parse(settings.get("alpha-init", "spectrum")).require_alone(
        **{name: name in settings for name in _OF_SPECTRA}
    )
    fields = {field: settings[name] for name, field in _OF_TRAINING.items() if name in settings}
    fields |= {"data_dir": data_dir, "device": machine.device, "devices": machine.devices, "seed": seed}
    fields.pop("dataset", None)  # an argument of its own
    return train_config(dataset, network, settings.get("recipe"), **fields)


def _require_type(name: str, value: Any) -> None:
    """Refuse text for numbers and truth values, and the reverse, which pydantic would convert silently."""
    field = ModelConfig.model_fields.get(_OF_NETWORK.get(name, "")) or TrainConfig.model_fields.get(
        _OF_TRAINING.get(name, "")
    )
    takes_words = name in ("recipe", "model", "scale") or (field is not None and _admits_words(field.annotation))
    takes_truth = field is not None and field.annotation is bool
    if name in ("scale", "relax") and isinstance(value, int | float) and not isinstance(value, bool):
        return
    if takes_words != isinstance(value, str):
        what = "a name in quotes" if takes_words else "no quotes"
        raise InputError(f"expected {what} for {name}, got {quoted(value)}")
    if isinstance(value, list) and any(isinstance(item, bool) for item in value):
        raise InputError(f"expected numbers for {name}, got {quoted(value)}")
    if takes_truth != isinstance(value, bool):
        raise InputError(f"expected {'true or false' if takes_truth else 'a number'} for {name}, got {quoted(value)}")


def _admits_words(annotation: Any) -> bool:
    """Return whether a field's type has text among its values."""
    parts = get_args(annotation)
    return annotation in (str, Path) or any(isinstance(part, str) or _admits_words(part) for part in parts)


def value_of(name: str, config: TrainConfig) -> Any:
    """Return the value of a setting in a configuration; None where its network has no such setting."""
    model = config.model
    if name in OF_POLYNOMIALS and not (model.is_polynomial or (model.is_own and name in _OF_TRAINING)):
        return None
    if name in _OF_SPECTRA and config.alpha_init != "spectrum":
        return None
    if name in ("model", "degree"):
        return model.name if name == "model" else model.degree
    if name in _OF_NETWORK:
        if model.is_own or (model.is_resnet and name not in ("channels", "max-pool")):
            return None
        value = getattr(model, _OF_NETWORK[name])
        is_default = value is None and _OF_NETWORK[name] in _PLACEMENTS
        return DEFAULT_PLACEMENT if is_default else value
    return getattr(config, _OF_TRAINING[name]) if name in _OF_TRAINING else None


def _network_of(settings: Mapping[str, Any], source: Source) -> ModelConfig:
    degree = settings.get("degree")
    if degree is not None and (type(degree) is not int or degree < 0):
        raise InputError(f"expected a degree of at least 0, got {quoted(degree)}")
    name = settings["model"] if "model" in settings else name_for_degree(settings["degree"])
    if "," in name:
        name = name_for_blocks(parse_blocks(name))
    options = {field: settings[key] for key, field in _OF_NETWORK.items() if key in settings}
    for field in _PLACEMENTS:
        if options.get(field) == DEFAULT_PLACEMENT:
            del options[field]
    scale = settings.get("scale")
    network = model_config(
        name,
        image_size=source.image_size,
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
    """Return the description of a data set, cached because all runs of a study share it."""
    return describe_data(dataset, data_dir)
