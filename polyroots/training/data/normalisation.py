"""Normalisation of images: bytes become numbers of mean 0 and standard deviation 1 in each channel."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float32, Shaped, UInt8
from torch import Tensor

from polyroots.training.data.split import SampleSet, Split


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation of each channel of the training images, scaled to 0..1."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, split: Split) -> Normalisation:
        """Return the exact mean and standard deviation of a training set, from the histogram of each channel."""
        mean, std = [], []
        levels = torch.arange(256, dtype=torch.float64) / 255
        counts = torch.zeros(split.images.shape[1], 256, dtype=torch.int64)
        for chosen in split.portions():
            images, _ = split.take(chosen)
            counts += torch.stack([torch.bincount(c.flatten(), minlength=256) for c in images.unbind(1)])
        for count in counts.double():
            share = count / count.sum()
            m = float(share @ levels)
            mean.append(m)
            std.append(float((share @ (levels - m) ** 2).sqrt()))
        # A constant channel has standard deviation 0; it is only shifted.
        return cls(tuple(mean), tuple(s or 1.0 for s in std))

    def __call__(self, images: UInt8[Tensor, "batch C H W"]) -> Float32[Tensor, "batch C H W"]:
        """Return the normalised images of a batch."""
        scale, offset = _scale_and_offset(self, images.device)
        return images * scale - offset


@dataclass(frozen=True)
class AsGiven(Normalisation):
    """No normalisation, of inputs that a data set of the user's own has prepared; bytes become numbers in 0..1."""

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __call__(self, images: Shaped[Tensor, "batch ..."]) -> Shaped[Tensor, "batch ..."]:
        """Return the inputs."""
        return images / 255 if images.dtype == torch.uint8 else images


def normalisation_for(choice: str, samples: SampleSet) -> Normalisation:
    """Return the normalisation of a name in `TrainConfig.normalisation`."""
    if choice == "none" or not isinstance(samples, Split):
        return AsGiven()
    return AUTHORS if choice == "authors" else Normalisation.of(samples)


def laid_out(inputs: Shaped[Tensor, "batch ..."]) -> Shaped[Tensor, "batch ..."]:
    """Return images in the memory format in which convolutions are fastest, and other inputs as they are."""
    return inputs.contiguous(memory_format=torch.channels_last) if inputs.dim() == 4 else inputs


#: The authors' for CIFAR-10. The deviations are widely copied; those of all its pixels are .2470, .2435, .2616.
AUTHORS = Normalisation((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))


@cache
def _scale_and_offset(
    normalisation: Normalisation, device: torch.device
) -> tuple[Float32[Tensor, "C 1 1"], Float32[Tensor, "C 1 1"]]:
    """Return scale and offset of each channel, copied to the device once for all batches."""
    mean, std = (torch.tensor(v, device=device)[:, None, None] for v in (normalisation.mean, normalisation.std))
    return 1 / (255 * std), mean / std
