"""The cache of decoded images, validation images, and images that are read by workers."""

from __future__ import annotations

import os
import resource
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from images import image_tree
from small_runs import same_weights, small

import polyroots as pr
from polyroots.training import CacheWarning, DataSet, open_data, train
from polyroots.training.data.batches import portions
from polyroots.training.data.cache import cache_directory
from polyroots.training.data.normalisation import Normalisation
from polyroots.training.data.split import Split, hold_out
from polyroots.training.loop.feed import DeviceFeed, WorkerFeed, make_feed


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POLYROOTS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def refuse_to_decode(monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(self: Any, path: Path) -> None:
        raise AssertionError(f"{path} is decoded again")

    monkeypatch.setattr("polyroots.training.data.folder.Folder._decode", decode)


def test_a_folder_is_decoded_once(image_folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy with other dates is found in the cache too, and the progress bar is complete."""
    first = open_data("folder", image_folder).load()
    assert len(list(cache.iterdir())) == 2
    moved = shutil.copytree(image_folder, cache.parent / "moved", copy_function=shutil.copyfile)
    refuse_to_decode(monkeypatch)
    for place in (image_folder, moved):
        seen: list[Any] = []
        again = open_data("folder", place).load(progress=lambda *counts, seen=seen: seen.append(counts))
        assert seen == [(40, 52), (52, 52)]
        for one, other in ((first.train, again.train), (first.test, again.test)):
            assert torch.equal(one.images, other.images)
            assert torch.equal(one.labels, other.labels)
    assert len(list(cache.iterdir())) == 2


def test_a_folder_that_changed_is_decoded_anew(
    image_folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One image has other contents, with the same name, size and date."""
    moved = shutil.copytree(image_folder, cache.parent / "moved")
    before = open_data("folder", moved).load()
    image = moved / "train" / "red" / "3.png"
    date = image.stat().st_mtime_ns
    image.write_bytes((moved / "train" / "red" / "4.png").read_bytes())
    os.utime(image, ns=(date, date))
    after = open_data("folder", moved).load()
    different = (before.train.images != after.train.images).flatten(1).any(1)
    assert different.sum() == 1
    assert torch.equal(before.test.images, after.test.images)
    assert len(list(cache.iterdir())) == 3


def test_a_limit_leaves_the_cache_alone(image_folder: Path, cache: Path) -> None:
    limited = open_data("folder", image_folder).load(limit=10)
    assert not cache.exists()
    whole = open_data("folder", image_folder).load().train.images.flatten(1)
    assert all((whole == image).all(1).any() for image in limited.train.images.flatten(1))


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY\x01\x00", b"no array"])
def test_a_damaged_cache_is_made_anew(image_folder: Path, cache: Path, damage: bytes) -> None:
    expected = open_data("folder", image_folder).load().train.images.clone()
    for path in cache.iterdir():
        path.write_bytes(damage)
    assert torch.equal(open_data("folder", image_folder).load().train.images, expected)
    for path in cache.iterdir():
        assert np.load(path).ndim == 4


def test_a_folder_that_cannot_be_decoded_leaves_no_cache(cache: Path) -> None:
    tree = image_tree(cache.parent / "data", {f"train/a/{i}.png": (8, 8) for i in range(5)} | {"test/a/0.png": (8, 8)})
    (tree / "train/a/4.png").write_bytes(b"no image")
    with pytest.raises(pr.FileError, match="can't be read as an image"):
        open_data("folder", tree).load()
    assert list(cache.iterdir()) == []


def test_a_cache_without_room_is_no_error(image_folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = open_data("folder", image_folder).load().train.images.clone()
    shutil.rmtree(cache)
    cache.write_text("a file")
    with pytest.warns(CacheWarning, match="are not kept for the next time: .* is a file"):
        assert torch.equal(open_data("folder", image_folder).load().train.images, expected)
    cache.unlink()
    usage = shutil.disk_usage("/")._replace(free=2**10)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    with pytest.warns(CacheWarning, match="has 0 MiB left for 0 MiB"):
        open_data("folder", image_folder).load()
    assert list(cache.iterdir()) == []


def test_the_cache_is_where_caches_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("POLYROOTS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_directory() == tmp_path / "polyroots"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_directory() == tmp_path / "home" / ".cache" / "polyroots"


def test_a_user_without_a_home_has_no_cache(monkeypatch: pytest.MonkeyPatch, image_folder: Path) -> None:
    """As in a container that runs under a number without a name."""
    expected = open_data("folder", image_folder).load().train.images
    for name in ("POLYROOTS_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    with pytest.warns(CacheWarning, match="the user has no home directory; set POLYROOTS_CACHE"):
        assert torch.equal(open_data("folder", image_folder).load().train.images, expected)


def test_validation_images_are_held_out_of_each_class() -> None:
    source = open_data("digits")
    whole, data = source.load(), source.load(val_fraction=0.2)
    assert (len(data.train), len(data.validation), len(data.test)) == (1150, 287, 360)
    assert torch.equal(data.test.images, whole.test.images)
    shares = torch.bincount(data.validation.labels) - 0.2 * torch.bincount(whole.train.labels)
    assert shares.abs().max() < 1
    kept = torch.cat([data.train.rows, data.validation.rows]).sort().values
    assert torch.equal(kept, torch.arange(1437))
    for split in (data.train, data.validation):
        images, labels = split.take(torch.tensor([7, 3]))
        assert torch.equal(images, whole.train.images[split.rows[[7, 3]]])
        assert torch.equal(labels, whole.train.labels[split.rows[[7, 3]]])
        moved = split.to(torch.device("cpu"))
        assert moved.rows is None
        assert torch.equal(moved.images[3], images[1])
    assert torch.equal(source.load(val_fraction=0.2).validation.rows, data.validation.rows)
    # The normalisation is measured on the images that are trained on.
    assert Normalisation.of(data.train) == Normalisation.of(data.train.to(torch.device("cpu")))
    assert Normalisation.of(data.train) != Normalisation.of(whole.train)


@pytest.mark.parametrize(
    ("sizes", "fraction", "held"),
    [
        ((950, 50), 0.1, (95, 5)),
        ((1000, 20), 0.5, (500, 10)),
        ((500, 300, 30), 0.2, (100, 60, 6)),
        ((3, 3, 3), 0.5, None),
        ((2, 100), 0.5, (1, 50)),
        ((1, 99), 0.5, (0, 49)),  # one image of the class stays for training
    ],
)
def test_small_classes_keep_their_share(sizes: tuple[int, ...], fraction: float, held: tuple[int, ...] | None) -> None:
    labels = torch.from_numpy(np.random.default_rng(97).permutation(np.repeat(np.arange(len(sizes)), sizes)))
    split = Split(torch.zeros(len(labels), 1, 1, 1, dtype=torch.uint8), labels)
    rest, validation = hold_out(split, fraction)
    counts = torch.bincount(validation.labels, minlength=len(sizes))
    if held is None:
        assert sorted(counts.tolist()) == [1, 1, 2]
    else:
        assert tuple(counts.tolist()) == held
    assert torch.bincount(rest.labels, minlength=len(sizes)).min() >= 1
    assert len(rest) + len(validation) == len(labels)


def test_the_fingerprint_is_of_images_and_classes(image_folder: Path) -> None:
    """The hash depends on the images and classes of all splits in their order, not on how they are stored."""
    source = open_data("folder", image_folder)
    data = source.load(val_fraction=0.25)
    found = data.fingerprint()
    assert source.load(val_fraction=0.25).fingerprint() == found
    device = torch.device("cpu")
    assert DataSet(data.train.to(device), data.test, data.validation.to(device)).fingerprint() == found
    assert source.load().fingerprint() != found
    swapped = Split(data.test.images, 1 - data.test.labels)
    turned = data.train.subset(torch.arange(len(data.train)).flip(0))
    for other in (
        DataSet(data.train, swapped, data.validation),
        DataSet(turned, data.test, data.validation),
        DataSet(data.train, data.test, data.test),
    ):
        assert other.fingerprint() != found


def test_a_cache_that_cannot_be_written_is_no_error(image_folder: Path, cache: Path) -> None:
    """The system refuses to write beyond the middle of the file, as with a quota."""
    expected = open_data("folder", image_folder).load().fingerprint()
    shutil.rmtree(cache)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
        with pytest.warns(CacheWarning, match="are not kept for the next time: cannot write"):
            data = open_data("folder", image_folder).load()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert data.fingerprint() == expected
    assert list(cache.iterdir()) == []


def test_what_a_killed_process_left_in_the_cache_is_removed(image_folder: Path, cache: Path) -> None:
    cache.mkdir()
    old, young = cache / ".a-1.npy", cache / ".b-2.npy"
    for path in (old, young):
        path.write_text("x")
    os.utime(old, (0, 0))
    open_data("folder", image_folder).load()
    assert not old.exists()
    assert young.exists()


def test_parts_of_parts_are_of_the_whole() -> None:
    split = Split(torch.arange(20, dtype=torch.uint8).reshape(20, 1, 1, 1), torch.arange(20) % 2)
    rest, held = hold_out(split, 0.5)
    assert (len(rest), len(held)) == (10, 10)
    again, _ = hold_out(rest, 0.2)
    assert set(again.rows.tolist()) < set(rest.rows.tolist())
    assert set(rest.rows.tolist()) | set(held.rows.tolist()) == set(range(20))
    assert again.take(torch.tensor([1]))[0].item() == again.rows[1]


def test_too_few_images_for_validation_are_said() -> None:
    message = "a share of {} for validation divides {} training images into {} and {}, too few for 10 classes"
    for limit, share, left, held in ((2, 0.5, 2, 0), (100, 0.05, 95, 5), (12, 0.5, 10, 2)):
        with pytest.raises(pr.InputError, match=message.format(share, limit, left, held)):
            open_data("digits").load(limit=limit, val_fraction=share)
    assert len(open_data("digits").load(limit=100, val_fraction=0.1).validation) == 10


def test_workers_bring_the_same_images(tmp_path: Path, image_folder: Path) -> None:
    """Workers bring the images in the same order, also of a subset, and a run with workers is bitwise equal."""
    source = open_data("folder", image_folder)
    split = source.load(val_fraction=0.25).train
    lists = [torch.tensor([3, 0, 7]), torch.tensor([1]), torch.arange(20), torch.tensor([29, 29])]
    device = torch.device("cpu")
    state = torch.get_rng_state()
    feeds = (DeviceFeed(split, device), WorkerFeed(split, device, workers=2))
    for _ in range(2):
        for ours, theirs, chosen in zip(*(feed.load(lists) for feed in feeds), lists, strict=True):
            assert torch.equal(ours[0], theirs[0])
            assert torch.equal(ours[1], theirs[1])
            assert torch.equal(ours[0], split.take(chosen)[0])
    assert torch.equal(torch.get_rng_state(), state)
    for loading in ("device", "workers"):
        train(small(source, augment="crop,flip", loading=loading), source, tmp_path / loading)
    assert same_weights(tmp_path / "device", tmp_path / "workers")


def test_large_splits_are_read_by_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_data("digits")
    split, config, device = source.load().train, small(source), torch.device("cpu")
    assert isinstance(make_feed(split, device, config), DeviceFeed)
    monkeypatch.setattr("polyroots.training.loop.feed._RESIDENT_BYTES", 1437 * 64 - 1)
    assert isinstance(make_feed(split, device, config), WorkerFeed)
    assert isinstance(make_feed(split, device, small(source, loading="device")), DeviceFeed)


def test_portions_are_whole_batches_of_some_size() -> None:
    batches = list(torch.arange(1000).split(64))
    groups = portions(batches, image_bytes=2**15)
    assert [len(group) for group in groups] == [16]
    groups = portions(batches, image_bytes=2**18)
    assert [len(group) for group in groups] == [2] * 8
    assert torch.equal(torch.cat([torch.cat(group) for group in groups]), torch.arange(1000))
    assert [len(group) for group in portions(batches, image_bytes=2**30)] == [1] * 16
    assert portions([], 64) == []
