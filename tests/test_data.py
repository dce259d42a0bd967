from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
from images import image_tree
from numpy.typing import NDArray
from PIL import Image

import polyroots as pr
from polyroots.training import describe_data, open_data
from polyroots.training.data.normalisation import Normalisation
from polyroots.training.data.split import Split, balanced


def test_digits_are_split_by_class_and_held_out() -> None:
    data = open_data("digits").load()
    assert (len(data.train), len(data.test)) == (1437, 360)
    assert data.train.images.shape == (1437, 1, 8, 8)
    assert data.train.images.dtype == torch.uint8
    assert int(data.train.images.max()) == 255
    assert torch.bincount(data.test.labels).min() >= 34
    seen = {image.numpy().tobytes() for image in data.train.images}
    assert not any(image.numpy().tobytes() in seen for image in data.test.images)


def test_a_folder_is_read(image_folder: Path) -> None:
    source = open_data("folder", image_folder)
    assert (source.classes, source.image_size, source.channels) == (("blue", "red"), (12, 12), 3)
    seen: list[Any] = []
    data = source.load(progress=lambda done, total: seen.append((done, total)))
    assert (len(data.train), len(data.test)) == (40, 12)
    assert seen[-1] == (52, 52)
    for image, label in zip(data.test.images, data.test.labels, strict=True):
        assert (image.float().mean(dim=(1, 2)).argmax() == 0) == (source.classes[label] == "red")
    expected = np.asarray(Image.open(image_folder / "train" / "blue" / "0.png")).transpose(2, 0, 1)
    assert any(np.array_equal(image.numpy(), expected) for image in data.train.images)


def test_a_limit_takes_the_same_share_of_each_class(image_folder: Path) -> None:
    data = open_data("folder", image_folder).load(limit=10)
    assert torch.bincount(data.train.labels).tolist() == [5, 5]
    assert torch.bincount(data.test.labels).tolist() == [5, 5]
    first = open_data("digits").load(limit=100).train.images
    assert not torch.equal(first, open_data("digits").load().train.images[:100])
    labels = np.repeat([0, 1, 2], [50, 3, 20])
    kept = balanced(labels, 17)
    assert np.bincount(labels[kept]).tolist() == [7, 3, 7]
    assert (np.diff(kept) > 0).all()
    assert kept[labels[kept] == 0].max() > 7  # random images, not the first ones
    assert np.array_equal(balanced(labels, 100), np.arange(73))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: None, "no directory"),
        (lambda root: root.mkdir(), "has no train/ and no test/: expected a directory with train/<class>"),
        (lambda root: (root / "train").mkdir(parents=True), "has no test/"),
        (
            lambda root: [(root / p).mkdir(parents=True) for p in ("train", "test")],
            "holds no directory: it must",
        ),
        (
            lambda root: [(root / p / "cat").mkdir(parents=True) for p in ("train", "test")],
            "holds no image of cat: each",
        ),
    ],
)
def test_a_folder_that_is_none_is_said(tmp_path: Path, make: Callable[..., Any], message: str) -> None:
    make(tmp_path / "data")
    with pytest.raises(pr.FileError, match=message):
        open_data("folder", tmp_path / "data")


def test_folders_with_other_faults_are_said(tmp_path: Path) -> None:
    classes = image_tree(tmp_path / "classes", {"train/a/0.png": (8, 8), "test/b/0.png": (8, 8)})
    with pytest.raises(pr.FileError, match="the same classes, train/ alone has a and test/ alone has b; add"):
        open_data("folder", classes)
    sizes = image_tree(tmp_path / "sizes", {"train/a/0.png": (8, 6), "train/a/1.png": (9, 6), "test/a/0.png": (8, 6)})
    with pytest.raises(pr.FileError, match=r"1\.png has 9x6 pixels, others in .* have 8x6"):
        open_data("folder", sizes).load()
    (sizes / "train/a/1.png").write_bytes(b"no image")
    with pytest.raises(pr.FileError, match=r"1\.png can't be read as an image"):
        open_data("folder", sizes).load()


def test_cifar10_that_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        pr.FileError, match=r"no complete CIFAR-10; run this with download=True, .* by hand: cifar-10-python"
    ):
        open_data("cifar10", tmp_path)

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise URLError("network is unreachable")

    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", refuse)
    with pytest.raises(
        pr.FileError,
        match=r"network is unreachable; put cifar-10-python\.tar\.gz \(MD5 c58f30108f718f92721af3b95e74349a\) into .* "
        "by hand",
    ):
        open_data("cifar10", tmp_path, download=True)
    shape = describe_data("cifar10")
    assert (shape.channels, shape.image_size, len(shape.classes)) == (3, (32, 32), 10)


def test_cifar10_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The batches have the original layout; the checksums of the published files are not compared."""
    import pickle

    rng = np.random.default_rng(67)
    root = tmp_path / "cifar-10-batches-py"
    root.mkdir()
    pixels = {}
    for batch in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        pixels[batch] = rng.integers(0, 256, (10, 3072), dtype=np.uint8)
        with (root / batch).open("wb") as stream:
            pickle.dump({"data": pixels[batch], "labels": list(range(10))}, stream)
    with (root / "batches.meta").open("wb") as stream:
        pickle.dump({"label_names": list(describe_data("cifar10").classes)}, stream)
    monkeypatch.setattr("torchvision.datasets.CIFAR10._check_integrity", lambda self: True)
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *args: True)
    data = open_data("cifar10", tmp_path).load()
    assert (len(data.train), len(data.test)) == (50, 10)
    assert np.array_equal(data.test.images.numpy().reshape(10, 3072), pixels["test_batch"])
    assert data.test.labels.tolist() == list(range(10))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("digit",), "unknown data set 'digit': did you mean 'digits'"),
        (("digits", "somewhere"), "leave data_dir out"),
        (("folder",), "folder needs data_dir"),
        (("cifar10",), "cifar10 needs data_dir"),
        (("digits", None, True), "only cifar10, cifar100, mnist, fashion-mnist can be downloaded, not digits"),
    ],
)
def test_data_that_does_not_exist_is_said(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(pr.InputError, match=message):
        open_data(*arguments)


def test_normalisation_is_exact() -> None:
    images = torch.from_numpy(np.random.default_rng(71).integers(0, 256, (9, 3, 5, 4), dtype=np.uint8))
    images[:, 2] = 40
    normalise = Normalisation.of(Split(images, torch.zeros(9, dtype=torch.int64)))
    scaled = images[:, :2].double() / 255
    assert normalise.mean[:2] == pytest.approx(scaled.mean(dim=(0, 2, 3)).tolist(), abs=1e-15)
    assert normalise.std[:2] == pytest.approx(scaled.std(dim=(0, 2, 3), correction=0).tolist(), abs=1e-15)
    result = normalise(images)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-6, rtol=0)
    torch.testing.assert_close(result.std(dim=(0, 2, 3), correction=0), torch.tensor([1.0, 1, 0]), atol=1e-6, rtol=0)


def test_images_of_16_bits_are_refused(tmp_path: Path) -> None:
    tree = image_tree(tmp_path / "data", {"train/a/0.png": (8, 8), "test/a/0.png": (8, 8)})
    Image.fromarray(np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)).save(tree / "train/a/0.png")
    with pytest.raises(pr.FileError, match=r"0\.png has more than 8 bits a channel"):
        open_data("folder", tree)


def test_one_split_is_read_without_the_other(image_folder: Path) -> None:
    """The images are those of the whole data set, and the images of other splits are not decoded."""
    for source in (open_data("digits"), open_data("folder", image_folder)):
        seen: list[Any] = []
        (test,) = source.read(("test",), 8, lambda *counts, seen=seen: seen.append(counts))
        whole = source.load(8)
        assert torch.equal(test.images, whole.test.images)
        assert torch.equal(test.labels, whole.test.labels)
        assert seen in ([], [(done, 8) for done in range(1, 9)])


def idx(array: NDArray[Any]) -> bytes:
    """Return an array in the format of MNIST's files."""
    return bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


@pytest.mark.parametrize(("name", "folder"), [("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST")])
def test_mnist_is_read(tmp_path: Path, name: str, folder: str) -> None:
    """The files have the original format, unpacked."""
    rng = np.random.default_rng(73)
    raw = tmp_path / folder / "raw"
    raw.mkdir(parents=True)
    pixels = {}
    for part, count in (("train", 30), ("t10k", 10)):
        pixels[part] = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        (raw / f"{part}-images-idx3-ubyte").write_bytes(idx(pixels[part]))
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(idx((np.arange(count) % 10).astype(np.uint8)))
    source = open_data(name, tmp_path)
    assert (source.channels, source.image_size, len(source.classes)) == (1, (28, 28), 10)
    data = source.load()
    assert np.array_equal(data.train.images.numpy()[:, 0], pixels["train"])
    assert np.array_equal(data.test.images.numpy()[:, 0], pixels["t10k"])
    assert data.test.labels.tolist() == list(range(10))
    assert len(source.load(limit=10).train) == 10
    (raw / "t10k-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03 damaged")
    with pytest.raises(pr.FileError, match=f"holds no complete {source.title}; run this with download=True"):
        open_data(name, tmp_path)


def test_cifar100_is_read_with_its_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pickle

    rng = np.random.default_rng(79)
    root = tmp_path / "cifar-100-python"
    root.mkdir()
    names = [f"kind {i:03}" for i in range(100)]
    for part, count in (("train", 200), ("test", 100)):
        content = {
            "data": rng.integers(0, 256, (count, 3072), dtype=np.uint8),
            "fine_labels": list(range(100)) * (count // 100),
        }
        (root / part).write_bytes(pickle.dumps(content))
    (root / "meta").write_bytes(pickle.dumps({"fine_label_names": names}))
    monkeypatch.setattr("torchvision.datasets.CIFAR100._check_integrity", lambda self: True)
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *args: True)
    source = open_data("cifar100", tmp_path)
    assert source.classes == tuple(names)
    assert len(describe_data("cifar100").classes) == 100
    assert torch.bincount(source.load(limit=100).train.labels).tolist() == [1] * 100


@pytest.mark.parametrize(
    ("name", "place", "file"),
    [
        ("cifar100", "", r"cifar-100-python\.tar\.gz \(MD5 eb9058c3a382ffc7106e4002c42a8d85\)"),
        ("mnist", "MNIST/raw", r"train-images-idx3-ubyte\.gz \(MD5 f68b3c2dcbeaaa9fbdd348bbdeb94873\), train-labels"),
        ("fashion-mnist", "FashionMNIST/raw", r"train-images-idx3-ubyte\.gz \(MD5 8d4fb7e6c68d591d4c3dfef9ec88bf0d\)"),
    ],
)
def test_a_download_that_fails_says_what_to_put_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, place: str, file: str
) -> None:
    """The download fails without a network, and for a file with another checksum."""
    for module in ("cifar", "mnist"):
        for error, words in (
            (URLError("network is unreachable"), "network is unreachable"),
            (RuntimeError("File not found or corrupted."), "File not found or corrupted"),
        ):

            def refuse(*args: Any, error: Any = error, **kwargs: Any) -> None:
                raise error

            monkeypatch.setattr(f"torchvision.datasets.{module}.download_and_extract_archive", refuse)
            if (module == "mnist") == ("mnist" in name):
                message = (
                    rf"cannot download .*{words}.*; put {file}.* into {tmp_path / place} by hand, and run this again"
                )
                with pytest.raises(pr.FileError, match=message) as caught:
                    open_data(name, tmp_path, download=True)
                assert "\n" not in str(caught.value)
    with pytest.raises(
        pr.FileError, match=rf"no complete .*; run this with download=True, .* {tmp_path / place} by hand: {file}"
    ):
        open_data(name, tmp_path)
