"""The convolutions of a checkpoint, and the choice among them by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from polyroots.analysis import Layer
from polyroots.checkpoints.own import Checkpoint
from polyroots.checkpoints.weights import Weight, dtype_of, reader_of


@dataclass(frozen=True)
class LayerSet:
    """The convolutions of a checkpoint.

    Attributes
    ----------
    layers : tuple of Layer
        The two-dimensional convolutions; their weights are read when they are needed.
    skipped : mapping of str to str
        Reasons by name, for every other convolution and every other four-dimensional tensor.
    assumed : bool
        Whether stride 1, dilation 1 and groups 1 are assumptions, as for a bare state dict.
    entry : str
        Entry of the file that holds the state dict, such as ``"model"``; empty if the file is a state dict.
    others : tuple of str
        Entries with further state dicts and their numbers of convolutions, which were not read.
    checkpoint : Checkpoint or None
        Network and training in a file of polyroots.
    on_request : mapping of str to Layer
        Four-dimensional tensors that are taken for kernels only if they are chosen by their exact names.
    remark : str
        Names that only the file or only the architecture has, of which the geometry is; may be empty.
    """

    layers: tuple[Layer, ...]
    skipped: Mapping[str, str]
    assumed: bool
    entry: str = ""
    others: tuple[str, ...] = ()
    checkpoint: Checkpoint | None = None
    on_request: Mapping[str, Layer] = field(default_factory=dict)
    remark: str = ""

    @property
    def names(self) -> list[str]:
        """Names of all convolutions, the skipped ones last."""
        return [*(layer.name for layer in self.layers), *self.skipped]

    def choose(
        self, globs: Sequence[str], why_not: Callable[[Layer], str | None]
    ) -> tuple[list[Layer], dict[str, str]]:
        """Choose layers by name, and leave out those that can't be analysed.

        Parameters
        ----------
        globs : sequence of str
            Patterns of names, with or without ``.weight``; all layers are chosen if there is none. A pattern that is
            the exact name of a four-dimensional tensor chooses it even if its name is no convolution's.
        why_not : callable
            Returns why a layer can't be analysed, None if it can.

        Returns
        -------
        list of Layer
        dict
            Reasons by name, of the layers with such a name that are left out.
        """

        def is_chosen(name: str) -> bool:
            return not globs or any(is_named(name, glob) for glob in globs)

        exact = [self.on_request[name] for name in dict.fromkeys(globs) if name in self.on_request]
        chosen = [layer for layer in self.layers if is_chosen(layer.name)] + exact
        reasons = {layer.name: why_not(layer) for layer in chosen}
        skipped = {name: reason for name, reason in self.skipped.items() if is_chosen(name) and name not in reasons}
        skipped |= {name: reason for name, reason in reasons.items() if reason}
        return [layer for layer in chosen if not reasons[layer.name]], skipped

    def unmatched(self, globs: Sequence[str]) -> list[str]:
        """Return the patterns that match no name."""
        return [
            glob
            for glob in globs
            if glob not in self.on_request and not any(is_named(name, glob) for name in self.names)
        ]


def stored_layer(conv: Any, weight: Weight, note: str = "") -> Layer:
    """Return the layer of a tensor in memory or in a file, with a geometry, a `polyroots.models.TracedConvolution`."""
    return Layer(conv, tuple(weight.shape), dtype_of(weight), reader_of(weight), note)


def is_named(name: str, glob: str) -> bool:
    """Return whether a pattern matches a name, with or without ``.weight``."""
    return fnmatchcase(name, glob) or fnmatchcase(name.removesuffix(".weight"), glob)
