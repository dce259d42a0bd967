from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad
from torchvision.transforms import AutoAugment, AutoAugmentPolicy
from torchvision.transforms.functional import equalize as equalize_one

import polyroots as pr
from polyroots.training.data.augmentation import PARTS, augment, parse
from polyroots.training.data.autoaugment import _table, autoaugment, equalize
from polyroots.training.data.draws import COLUMNS, Draws, integers

COUNT = 60_000


def photos(count: int, channels: int = 3, size: tuple[int, int] = (16, 24), seed: int = 83) -> Tensor:
    """Return images with structure: noise on ramps, some of them flat, dark, or with few levels."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(0, 200, size[1]) * rng.uniform(0, 1, (count, channels, 1, 1))
    images = ramp + rng.integers(0, 56, (count, channels, *size))
    images[::7] = rng.integers(0, 256, (len(images[::7]), channels, 1, 1))
    images[1::7] /= 60
    images[2::7] = images[2::7] // 64 * 64
    return torch.from_numpy(images.astype(np.uint8))


@pytest.fixture(scope="module")
def numbers() -> Any:
    return Draws(seed=89, epoch=4, count=COUNT).of(torch.arange(COUNT))


def chi_squared(counts: NDArray[Any]) -> float:
    expected = counts.sum() / counts.size
    return float(((counts - expected) ** 2 / expected).sum())


def test_numbers_follow_from_seed_epoch_and_sample_alone() -> None:
    """The numbers depend neither on the number of samples nor on the order of the samples."""
    chosen = torch.tensor([31, 5, 90, 5])
    few, many = Draws(13, 2, 100).of(chosen), Draws(13, 2, 5000).of(chosen)
    for name in COLUMNS:
        assert torch.equal(few[name], many[name])
        assert few[name][1] == few[name][3]
    state = torch.get_rng_state()
    for other in (Draws(14, 2, 100), Draws(13, 3, 100)):
        assert not any(torch.equal(other.of(chosen)[name], few[name]) for name in COLUMNS)
    assert torch.equal(torch.get_rng_state(), state)


def test_numbers_are_uniform_and_independent(numbers: Any) -> None:
    table = torch.stack([numbers[name] for name in COLUMNS]).numpy()
    assert table.min() >= 0
    assert table.max() < 1
    for row in table:
        # Chi-squared with 99 degrees of freedom: above 165 with a probability of 3e-5.
        assert chi_squared(np.histogram(row, 100, (0, 1))[0]) < 165
    # Between uses, and between a sample and the next one.
    correlation = np.corrcoef(np.concatenate([table[:, 1:], table[:, :-1]])) - np.eye(2 * len(COLUMNS))
    assert abs(correlation).max() < 4.5 / COUNT**0.5
    again = Draws(89, 5, COUNT).of(torch.arange(COUNT))
    across = [np.corrcoef(numbers[name], again[name])[0, 1] for name in COLUMNS]
    assert max(map(abs, across)) < 4.5 / COUNT**0.5


def test_integers_never_reach_their_bound() -> None:
    largest = torch.tensor([np.nextafter(np.float32(1), np.float32(0))]).double()
    assert [int(integers(largest, n)) for n in (2, 9, 25, 32)] == [1, 8, 24, 31]
    assert int(integers(torch.zeros(1, dtype=torch.float64), 9)) == 0


def test_crops_and_flips_are_what_was_drawn(numbers: Any) -> None:
    images = photos(200)
    drawn = {name: values[:200] for name, values in numbers.items()}
    result = augment(("crop", "flip"), images, drawn, fill=77)
    padded = pad(images, (2, 2, 2, 2), value=77)
    mirrored = 0
    for i, ours in enumerate(result):
        top, left = (int(drawn[name][i] * 5) for name in ("crop_row", "crop_column"))
        expected = padded[i, :, top : top + 16, left : left + 24]
        if drawn["flip"][i] < 0.5:
            mirrored += 1
            expected = expected.flip(2)
        assert torch.equal(ours, expected)
    assert 70 < mirrored < 130


def test_every_shift_is_as_probable(numbers: Any) -> None:
    """The shift is read off from the position of a single bright pixel in the middle of the image."""
    images = torch.zeros(COUNT, 1, 9, 9, dtype=torch.uint8)
    images[:, :, 4, 4] = 255
    places = augment(("crop",), images, numbers, fill=0).flatten(1).float().argmax(1).numpy()
    counts = np.bincount(places, minlength=81).reshape(9, 9)
    assert counts[3:6, 3:6].sum() == COUNT
    # Eight degrees of freedom: above 35 with a probability of 3e-5.
    assert chi_squared(counts[3:6, 3:6]) < 35


def test_cutout_covers_a_square_anywhere(numbers: Any) -> None:
    images = torch.full((COUNT // 4, 2, 8, 12), 200, dtype=torch.uint8)
    drawn = {name: values[: len(images)] for name, values in numbers.items()}
    covered = augment(("cutout",), images, drawn, fill=9) == 9
    assert torch.equal(covered[:, 0], covered[:, 1])
    rows, columns = covered[:, 0].any(2), covered[:, 0].any(1)
    # A square is the intersection of its rows and its columns.
    assert torch.equal(covered[:, 0], rows[:, :, None] & columns[:, None, :])
    for seen, length in ((rows, 8), (columns, 12)):
        # Four pixels that begin two before the centre, cut off at the rim; all centres are equally probable.
        starts, expected = [], []
        for centre in range(length):
            window = np.zeros(length, dtype=bool)
            window[max(0, centre - 2) : centre + 2] = True
            expected.append(window)
        for window in seen.numpy()[:4000]:
            (centre,) = [i for i, e in enumerate(expected) if np.array_equal(e, window)]
            starts.append(centre)
        assert chi_squared(np.bincount(starts, minlength=length)) < 45


class Given(AutoAugment):  # type: ignore[misc]
    """torchvision's AutoAugment with given random numbers."""

    def get_params(self, transform_num: int) -> Any:
        return self.given


@pytest.mark.parametrize(("channels", "size", "fill"), [(3, (32, 32), 128), (3, (16, 24), 0), (1, (28, 28), 10)])
def test_autoaugment_is_torchvisions_image_by_image(
    numbers: Any, channels: int, size: tuple[int, int], fill: int
) -> None:
    images = photos(600, channels, size)
    drawn = {name: values[:600] for name, values in numbers.items()}
    before = images.clone()
    result = autoaugment(images, drawn, fill)
    assert torch.equal(images, before)
    theirs = Given(AutoAugmentPolicy.CIFAR10, fill=[float(fill)] * channels)
    changed = 0
    for i, image in enumerate(images):
        chances = torch.stack([drawn["first_chance"][i], drawn["second_chance"][i]])
        signs = torch.stack([drawn["first_sign"][i], drawn["second_sign"][i]]) >= 0.5
        theirs.given = (int(drawn["policy"][i] * 25), chances, signs.long())
        assert torch.equal(result[i], theirs(image)), theirs.given
        changed += not torch.equal(result[i], image)
    assert changed > 320  # on grey images some operations do nothing


def test_autoaugment_meets_every_operation(numbers: Any) -> None:
    """All 25 policies of two operations are equally probable."""
    operations, chances, places = _table(32, 32)
    assert chances.shape == (25, 2)
    assert set(places.ravel()) == set(range(len(operations)))
    assert {name for name, _ in operations} >= {"Invert", "Rotate", "Equalize", "Posterize", "TranslateY", "ShearY"}
    # Chi-squared with 24 degrees of freedom: above 65 with a probability of 1e-5.
    assert chi_squared(np.bincount(integers(numbers["policy"], 25).numpy())) < 65
    images = photos(2000, size=(32, 32))
    drawn = {name: values[:2000] for name, values in numbers.items()}
    alone = torch.cat(
        [autoaugment(images[i : i + 1], {k: v[i : i + 1] for k, v in drawn.items()}, 5) for i in range(50)]
    )
    assert torch.equal(autoaugment(images, drawn, 5)[:50], alone)


def test_equalize_is_torchvisions() -> None:
    images = torch.cat([photos(60), photos(5, size=(16, 24)) // 255, torch.full((1, 3, 16, 24), 7, dtype=torch.uint8)])
    assert torch.equal(equalize(images), torch.stack([equalize_one(image) for image in images]))
    small = photos(20, size=(8, 8))
    assert torch.equal(equalize(small), equalize_one(small))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("none", ()), ("cutout, crop", ("crop", "cutout")), ("autoaugment,flip,crop", ("crop", "flip", "autoaugment"))],
)
def test_augmentations_are_read(text: str, expected: tuple[str, ...]) -> None:
    assert parse(text) == expected
    assert tuple(PARTS) == ("crop", "flip", "autoaugment", "cutout")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("crop,mirror", "unknown augmentation 'mirror': expected crop, flip, autoaugment, cutout, none"),
        ("flip,flip", "names flip twice"),
        ("none,crop", "augmentation 'none,crop' names none and others"),
        ("", "unknown augmentation ''"),
    ],
)
def test_augmentations_that_are_none_are_said(text: str, message: str) -> None:
    with pytest.raises(pr.InputError, match=message):
        parse(text)
