"""Fixtures: small networks, images and runs on disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any
from zlib import crc32

import jaxtyping
import numpy as np
import pytest
import torch
from commands import run
from forked import snapshots_without_processes
from small_runs import OPTIONS, small
from threadpoolctl import threadpool_limits

import polyroots as pr
from polyroots.checkpoints.own import Checkpoint, save_checkpoint
from polyroots.training import open_data, train

# It needs atheris, and is a program.
collect_ignore = ["guided.py"]

# Small networks and matrices gain nothing from more threads, and while other tests run, waiting for them takes minutes.
torch.set_num_threads(1)
threadpool_limits(1)
# The number of threads also decides the last bits: processes that tests start have as many.
os.environ["OMP_NUM_THREADS"] = "1"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the tests that wait for SLURM most of the time: at the end, a core would wait with them."""
    items.sort(key=lambda item: item.path.name != "test_slurm.py")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep decoded images in a directory of the tests instead of the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POLYROOTS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _seeded(request: pytest.FixtureRequest) -> None:
    """Draw weights by the name of the test, so that they don't depend on the tests that ran before."""
    torch.manual_seed(crc32(request.node.nodeid.encode()))


@pytest.fixture
def types_unchecked() -> Iterator[None]:
    """Functions take values of any type, as they do for users, and answer wrong ones by messages of their own.

    torch.compile doesn't trace the checks either.
    """
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(2718)


@pytest.fixture(scope="session")
def init_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of 'polyroots init': a small q4 for the digits."""
    torch.manual_seed(31)
    config = pr.models.model_config("q4", image_size=8, in_channels=1, channels=(6, 12))
    model = pr.models.build(config)
    report = pr.initialize(model)
    path = tmp_path_factory.mktemp("init") / "init.pt"
    save_checkpoint(path, Checkpoint(config, model.state_dict(), init=report.to_dict()))
    return path


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Red and blue 12x12 images with noise, as PNG files: 20 a class for training, 6 for testing."""
    from PIL import Image

    rng = np.random.default_rng(61)
    root = tmp_path_factory.mktemp("images")
    for part, count in (("train", 20), ("test", 6)):
        for channel, name in ((0, "red"), (2, "blue")):
            directory = root / part / name
            directory.mkdir(parents=True)
            for index in range(count):
                pixels = rng.integers(0, 120, (12, 12, 3), dtype=np.uint8)
                pixels[:, :, channel] += 120
                Image.fromarray(pixels).save(directory / f"{index}.png")
    return root


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, init_file: Path) -> tuple[Path, str]:
    """Return a run of one epoch, and its output."""
    out = tmp_path_factory.mktemp("runs") / "first"
    result = run("train", "--init", init_file, "--epochs", 2, "--limit", 60, "--device", "cpu", "--out", out)
    return out, result.stdout


@pytest.fixture(scope="session")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of five epochs with stored spectra of the first, every second and the last one."""
    out = tmp_path_factory.mktemp("tracked") / "run"
    source = open_data("digits")
    with snapshots_without_processes():
        # The paper's roots, which lie in the spectra.
        train(small(source, limit=100, epochs=5, track_spectrum=2, relax="none", signs="paper"), source, out)
    return out


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run without interruption, with the options of `small_runs`."""
    out = tmp_path_factory.mktemp("whole") / "run"
    source = open_data("digits")
    train(small(source, **OPTIONS), source, out)
    return out


@pytest.fixture
def rough_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write pictures in a low resolution, and figures as PNG files only, for tests that don't look at them."""
    monkeypatch.setattr(import_module("polyroots.plotting.style"), "DPI", 20)
    monkeypatch.setattr(import_module("polyroots_figures.make"), "FORMATS", ("png",))


@pytest.fixture
def coarse_surfaces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw surfaces of |q| with few facets, for tests of what is around them and on them."""
    module = import_module("polyroots.plotting.surface")
    monkeypatch.setattr(module, "fill", partial(module.fill, rings=24, rays=49))


@pytest.fixture
def no_tracker_process() -> Iterator[Any]:
    """Compute the spectra of tracked runs in the process of the test."""
    with snapshots_without_processes():
        yield
