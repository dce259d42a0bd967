"""The identity of a run: a digest of all that decides its bits beside images, software and machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from polyroots.checkpoints import Checkpoint, load_checkpoint
from polyroots.errors import FileError, InputError, one_sentence
from polyroots.text import listed, text_of
from polyroots.training.config import CHANGEABLE, TrainConfig

#: Fields of `TrainConfig` on which the network's bits don't depend, or, of those in `CHANGEABLE`, by rounding only.
UNDECISIVE = (*CHANGEABLE, "track_spectrum", "tensorboard")

# Number of fields that a message lists.
_LISTED = 6


def identity_of(config: Mapping[str, Any], start: str | None) -> str:
    """Return the identity of a run, 64 hexadecimal digits.

    It is taken from the stored document, so that it stays the same when later versions have more fields.

    Parameters
    ----------
    config : mapping
        The configuration as config.json holds it.
    start : str or None
        `digest_of` the network that the run starts from; None for a fresh one.
    """
    decisive = {name: value for name, value in config.items() if name not in UNDECISIVE}
    return hashlib.sha256(json.dumps([_canonical(decisive), start], sort_keys=True).encode()).hexdigest()


def digest_of(start: Checkpoint) -> str:
    """Return a digest of the weights of a network to start from; raise FileError if they don't fit it."""
    digest = hashlib.sha256()
    weights = start.weights if start.config.is_own else start.model().state_dict()
    for name, weight in weights.items():
        digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}\n".encode())
        digest.update(weight.contiguous().reshape(-1).cpu().numpy().tobytes())
    return digest.hexdigest()


def differences(
    one: TrainConfig, other: TrainConfig, ignored: Collection[str] = UNDECISIVE
) -> list[tuple[str, str, str]]:
    """Return the fields in which two configurations differ, with the value of each as text.

    Of a network, the values are the fields in which it differs from the other one.
    """
    first, second = one.model_dump(mode="json"), other.model_dump(mode="json")
    return [
        (name, _text(first[name], second[name]), _text(second[name], first[name]))
        for name in first
        if name not in ignored and first[name] != second[name]
    ]


def require_unchanged(path: Path, document: Mapping[str, Any], config: TrainConfig) -> None:
    """Raise FileError if config.json was changed after the run began; runs of version 0.1.0 have no identity.

    Parameters
    ----------
    path : Path
        Of config.json.
    document, config : mapping, TrainConfig
        Its content, and the configuration in it.
    """
    identity = document.get("identity")
    if identity is None or identity == identity_of(document["config"], document.get("start_digest")):
        return
    for name in ("last.pt", "best.pt"):
        trained = path.with_name(name)
        if trained.exists():
            require_same(trained, load_checkpoint(trained), path, config, None)
    raise FileError(
        f"{path} was changed after the run began: its identity is no longer that of its configuration; restore it, or "
        "begin a new run"
    )


def require_same(trained: Path, checkpoint: Checkpoint, path: Path, config: TrainConfig, identity: str | None) -> None:
    """Raise FileError, with the fields that differ, unless a checkpoint is of the run of a configuration.

    Parameters
    ----------
    trained, checkpoint : Path, Checkpoint
        The file and its content.
    path, config, identity : Path, TrainConfig, str or None
        config.json of the run, with its configuration and identity; None for one of version 0.1.0.
    """
    training = checkpoint.training if isinstance(checkpoint.training, dict) else {}
    try:
        theirs = TrainConfig(**training["config"])
    except (KeyError, TypeError) as error:
        raise FileError(
            f"{trained} is no checkpoint of the run in {path.parent}: it was not trained; restore it, or start a new "
            "run from it",
            fields=["start"],
        ) from error
    except ValidationError as error:
        raise FileError(f"{trained} holds a configuration that can't be used: {one_sentence(error)}") from error
    if checkpoint.config != theirs.model:
        raise FileError(f"{trained} is damaged: its network is not the one that its own configuration describes")
    found = differences(theirs, config)
    if found:
        was = listed([f"{name} {there}" for name, there, _ in found], _LISTED)
        now = listed([f"{name} {here}" for name, _, here in found], _LISTED)
    elif None not in (identity, training.get("identity")) and identity != training["identity"]:
        was, now = "another network to start from", "another one"
    else:
        return
    raise FileError(
        f"{trained} was trained with {was}, and {path} has {now}: one of them was changed, or is of another run; "
        f"restore it, or start a new run from {trained}",
        fields=["start"],
    )


def require_same_images(trained: Path, checkpoint: Checkpoint, fingerprint: str) -> None:
    """Raise InputError unless images and classes are bit by bit, and in their order, those of a checkpoint's run."""
    if (checkpoint.training or {}).get("images") != fingerprint:
        raise InputError(
            f"the images are no longer those that {trained.parent} began with: restore them, or start a new run from "
            f"{trained}",
            fields=["start"],
        )


def _text(value: Any, other: Any) -> str:
    """Return the text of a field; of a network, the fields in which it differs from another one."""
    if not isinstance(value, dict) or not isinstance(other, dict):
        return text_of(value)
    return ", ".join(f"{name} {text_of(value[name])}" for name in value if value[name] != other.get(name))


def _canonical(value: Any) -> Any:
    """Return a document in which equal numbers have one form: an editor may write 1 for 1.0."""
    if isinstance(value, dict):
        return {name: _canonical(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
