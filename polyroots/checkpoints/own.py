"""The checkpoint format of polyroots."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from polyroots.checkpoints.layout import InitDocument, StoredDocument, StoredTraining, require_layout
from polyroots.checkpoints.reading import read_document
from polyroots.errors import FileError, InputError, one_sentence
from polyroots.files import replacing
from polyroots.models import ModelConfig, build, build_empty
from polyroots.text import quoted

# Key that marks a file of polyroots, and the version of its layout.
_FORMAT_KEY, _FORMAT = "polyroots", 1


@dataclass(frozen=True)
class Checkpoint:
    """A network with its initialisation and training state.

    Attributes
    ----------
    config : ModelConfig
        Configuration of the network.
    weights : mapping of str to Tensor
        State dict.
    init : dict or None
        `InitReport.to_dict` of its initial coefficients; None for a network without them.
    training : dict or None
        Entries of `polyroots.training` for a trained network; None before training.

    See Also
    --------
    load_checkpoint, save_checkpoint

    Examples
    --------
    >>> import polyroots as pr
    >>> model = pr.models.build("q2", image_size=8, channels=[4])
    >>> checkpoint = Checkpoint(model.config, model.state_dict())
    >>> checkpoint.config.name, checkpoint.init is None
    ('q2', True)
    """

    config: ModelConfig
    weights: Mapping[str, Tensor] = field(repr=False)
    init: dict[str, Any] | None = field(default=None, repr=False)
    training: dict[str, Any] | None = field(default=None, repr=False)

    def model(self, *, run_code: bool = False, into: nn.Module | None = None) -> nn.Module:
        """Return the network with its weights.

        Parameters
        ----------
        run_code : bool
            Whether the code of a network of the user's own, ``"module:callable"`` in the configuration, may be run; it
            is never run otherwise.
        into : nn.Module, optional
            A network that the weights are loaded into, instead of a new one.

        Raises
        ------
        InputError
            If the network is one of the user's own, which may not be built here or can't be.
        FileError
            If the weights don't fit the configuration.
        """
        if into is None and self.config.is_own and not self.config.name.startswith(":") and not run_code:
            raise InputError(
                f"this checkpoint's network is built by the code of {self.config.name}: where you trust it, give "
                "run_code, or load the weights into a network of your own",
                fields=["run_code"],
            )
        if into is None and self.config.is_own:
            into = build_empty(self.config)
        if into is None:
            with torch.device("meta"):
                expected = build(self.config).state_dict()
        else:
            expected = into.state_dict()
        shapes = {name: value.shape for name, value in expected.items()}
        if {name: value.shape for name, value in self.weights.items()} != shapes:
            raise FileError(
                f"the weights of this checkpoint don't fit its own configuration ({self.config.title}): the file is "
                "damaged or was made by another version of polyroots; use one that is whole"
            )
        model = build_empty(self.config) if into is None else into
        model.load_state_dict(self.weights)
        return model


def save_checkpoint(path: str | Path, checkpoint: Checkpoint, *, make_parents: bool = True) -> None:
    """Write a checkpoint of plain data and tensors, which ``torch.load(weights_only=True)`` reads.

    A failure leaves an existing file unchanged.

    Parameters
    ----------
    path : str or Path
    checkpoint : Checkpoint
    make_parents : bool
        Whether missing parent directories are made.

    Raises
    ------
    FileError
        If the file can't be written.

    See Also
    --------
    load_checkpoint
    """
    document = {
        _FORMAT_KEY: _FORMAT,
        "config": checkpoint.config.model_dump(mode="json"),
        "model": dict(checkpoint.weights),
        "init": checkpoint.init,
        "training": checkpoint.training,
    }
    # Through memory: torch.save to a full disk fails with an assertion on file positions.
    buffer = io.BytesIO()
    torch.save(document, buffer)
    with replacing(path, make_parents=make_parents) as temporary:
        # No copy. A view of the buffer in the traceback of a failed write ends Python 3.12 by a segmentation fault.
        temporary.write_bytes(buffer.getvalue())


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Return a checkpoint that `save_checkpoint` wrote.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Checkpoint

    Raises
    ------
    FileError
        If the file is missing, damaged, or of another program.

    See Also
    --------
    save_checkpoint
    polyroots.checkpoints.read_layers : the convolutions of files of other programs as well

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import polyroots as pr
    >>> model = pr.models.build("q2", image_size=8, channels=[4])
    >>> with TemporaryDirectory() as directory:
    ...     path = Path(directory) / "q2.pt"
    ...     save_checkpoint(path, Checkpoint(model.config, model.state_dict()))
    ...     again = load_checkpoint(path).model()
    >>> bool((again.levels[0].A.weight == model.levels[0].A.weight).all())
    True
    """
    document = read_document(path)
    if not is_own(document):
        raise FileError(
            f"{path} was not written by polyroots; expected a file of 'polyroots train' or 'polyroots init'"
        )
    return checkpoint_of(path, document)


def is_own(document: Any) -> bool:
    """Return whether a document is a checkpoint of polyroots."""
    return isinstance(document, Mapping) and _FORMAT_KEY in document


def checkpoint_of(path: str | Path, document: Mapping[str, Any]) -> Checkpoint:
    """Return the checkpoint in a document of polyroots.

    Raises
    ------
    FileError
        If the document has another layout, or is incomplete.
    """
    layout = document[_FORMAT_KEY]
    if type(layout) is not int or layout != _FORMAT:
        raise FileError(
            f"{path} has the layout {quoted(layout)}, this version of polyroots reads {_FORMAT}; use the version "
            "that wrote it"
        )
    try:
        require_layout(StoredDocument, document)
        for part, model in (("init", InitDocument), ("training", StoredTraining)):
            if document[part] is not None:
                require_layout(model, document[part])
    except InputError as error:
        raise FileError(f"{path} is an incomplete checkpoint of polyroots, or a damaged one: {error}") from error
    try:
        config = ModelConfig(**document["config"])
    except ValidationError as error:
        raise FileError(f"{path} has a configuration that can't be used: {one_sentence(error)}") from error
    return Checkpoint(config, document["model"], document["init"], document["training"])


def kind_of(document: Any) -> str:
    """Return the type of a document with its article, for an error message."""
    return "a tensor" if isinstance(document, Tensor) else f"a {type(document).__name__}"
