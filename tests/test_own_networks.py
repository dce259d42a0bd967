"""Networks and data of the user's own: `fit`, and ``module:callable`` as a model."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import fails, run
from forked import snapshots_without_processes
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, WeightedRandomSampler

import polyroots as pr
from polyroots.checkpoints import read_layers
from polyroots.initialization import InitRequest, initialize_parts
from polyroots.models import Level, PolyBlock, network_of, poly_parts
from polyroots.training import Reporter, StoppedError, fit, load_run
from polyroots_figures import FIGURES, Request, require_level

MODULE = """
import torch
from torch import nn
from polyroots.models import Level

class Net(nn.Module):
    def __init__(self, num_classes, in_channels):
        super().__init__()
        self.stem = nn.Conv2d(in_channels, 4, 3, padding=1)
        self.level = Level(4, "L,L,C", begins_at_zero=True)
        self.head = nn.Linear(4, num_classes)

    def forward(self, x):
        u, _ = self.level(None, self.stem(x), carry_residual=False)
        return self.head(u.mean((2, 3)))

def broken(num_classes):
    raise ValueError("no such thing")

def number():
    return 3
"""


class Noisy(Dataset[tuple[Tensor, int]]):
    """Images with noise from the generators of torch, numpy and Python."""

    def __init__(self, count: int = 30) -> None:
        self.images = torch.randn(count, 2, 8, 8, generator=torch.Generator().manual_seed(1))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        noise = torch.rand(1) + np.random.rand() + random.random()  # noqa: NPY002
        return self.images[index] + noise.float(), index % 3


class Net(nn.Module):
    """A network with a level, a block and dropout, which draws from torch's generator."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, padding=1)
        self.level = Level(4, "L,L,C")
        self.block = PolyBlock(4, roots=[0.7, 1 + 0.3j])
        self.drop = nn.Dropout(0.3)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Any:
        u, _ = self.level(None, self.stem(x), carry_residual=False)
        return self.head(self.drop(self.block(u).mean((2, 3))))


class Warnings(Reporter):
    def __init__(self) -> None:
        self.messages: list[str] = []

    def on_warning(self, message: str) -> None:
        self.messages.append(message)


def net(seed: int = 5) -> Net:
    torch.manual_seed(seed)
    return Net()


def weights(path: Path) -> dict[str, Tensor]:
    return dict(pr.load_checkpoint(path).weights)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory with a module of the user's own, in which commands run."""
    (tmp_path / "my_networks.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("my_networks", None)


def stop_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Request a stop when the generator of the data has been asked for a number of batches."""
    seen = []
    loop_step = pr.training.loop.epoch.EpochLoop._step

    def counted(self: Any, *arguments: Any) -> None:
        loop_step(self, *arguments)
        seen.append(1)
        if len(seen) == step:
            self.interruption.requested = True

    monkeypatch.setattr(pr.training.loop.epoch.EpochLoop, "_step", counted)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["data set", "loader", "sampler"])
def test_a_stopped_fit_ends_as_without_the_stop(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The data draws noise, the network dropout: both from generators that the run seeds or stores."""
    torch.manual_seed(3)

    def data() -> Any:
        if kind == "data set":
            return Noisy()
        if kind == "loader":
            return DataLoader(Noisy(), batch_size=8, shuffle=True)
        sampler = WeightedRandomSampler([1.0] * 10 + [3.0] * 20, 26)
        return DataLoader(Noisy(), batch_size=8, sampler=sampler, drop_last=True)

    options: dict[str, Any] = {"epochs": 3, "device": "cpu", "lr": 0.05}
    if kind == "data set":
        options["batch_size"] = 8
    fit(net(), data(), Noisy(12), tmp_path / "whole", **options)
    with monkeypatch.context() as patch:
        stop_at(5, patch)
        with pytest.raises(
            StoppedError, match=r"interrupted in epoch 2; .* go on with: pr\.training\.fit\(\.\.\., out="
        ):
            fit(net(), data(), Noisy(12), tmp_path / "stopped", **options)
    random.seed(99)
    np.random.seed(99)  # noqa: NPY002
    again = net(seed=77)  # other weights, which are not used
    result = fit(again, data(), Noisy(12), tmp_path / "stopped", resume=True, **options)
    whole, stopped = weights(tmp_path / "whole" / "last.pt"), weights(tmp_path / "stopped" / "last.pt")
    assert all(torch.equal(whole[name], stopped[name]) for name in whole)
    assert (
        result.run.metrics.read_text().splitlines()[-1].split(",")[2:4]
        == ((tmp_path / "whole" / "metrics.csv").read_text().splitlines()[-1].split(",")[2:4])
    )
    assert result.config.batch_size == 8
    steps = {"data set": 4, "loader": 4, "sampler": 3}[kind]
    assert len(again.state_dict()) == len(whole)
    assert result.images_per_second > 0
    assert steps * 8 >= 24


def test_levels_are_initialised_and_tracked_and_blocks_keep_their_roots(tmp_path: Path) -> None:
    model = net()
    before = [step.alphas.tolist() for step in model.block.level.steps]
    options: dict[str, Any] = {"epochs": 2, "batch_size": 10, "device": "cpu", "track_spectrum": 1, "lr": 1e-6}
    with snapshots_without_processes():
        result = fit(model, Noisy(), Noisy(12), tmp_path / "run", **options)
    loaded = load_run(tmp_path / "run")
    assert loaded.init is not None
    (level,) = loaded.init["levels"]
    assert (level["title"], level["size"]) == ("level.A", [8, 8])
    first = loaded.snapshots[0]
    assert [operator.name for operator in first.operators] == ["level.A.weight", "block.level.A.weight"]
    # The spectrum of the drawn A, and the roots in the report.
    Lambda = pr.eigenvalues(net().level.A.weight, 8)
    np.testing.assert_allclose(np.sort_complex(first.operators[0].values), np.sort_complex(Lambda.values), atol=1e-9)
    assert first.operators[0].radius == pytest.approx(level["radius"])
    q = first.operators[1].q
    assert q is not None
    np.testing.assert_allclose(np.sort_complex(q.roots), [0.7, 1 - 0.3j, 1 + 0.3j], rtol=1e-5)
    assert len(loaded.snapshots) == 3
    np.testing.assert_allclose(
        [value for step in model.block.level.steps for value in step.alphas.tolist()], np.concatenate(before), atol=1e-3
    )
    assert loaded.weights == sum(p.numel() for p in model.parameters())
    # Pictures of a run don't need the network's code.
    flow, given = FIGURES["flow"].compute(Request(run=loaded))
    assert flow.data["title"] == "$A$ (level.A.weight) of Net while it trained, 8 x 8 pixels"
    assert given.data["title"] == "$A$ (block.level.A.weight) of Net while it trained"
    (spectra,) = FIGURES["spectra"].compute(Request(run=loaded))
    assert [level["title"] for level in spectra.data["levels"]] == ["level.A.weight: 8 x 8", "block.level.A.weight"]
    # The second level is the block, and its coefficients are those of the trained network.
    (own,) = FIGURES["3"].compute(Request(run=loaded, level=2))
    t, alphas = 0.3 + 0.2j, [step.alphas.tolist() for step in model.block.level.steps]
    assert own.data["title"].startswith(
        "$|q_{3}(\\Lambda)|$ over the spectrum of $A$ (block.level.A.weight) of Net\n4 x 4"
    )
    q = (1 - t * alphas[0][0]) * (1 - t * (alphas[1][0] + alphas[1][1] * t))
    assert pr.ResidualPolynomial(own.data["roots"])(t) == pytest.approx(q, rel=1e-5)
    assert len(own.data["values"]) == 4 * 8 * 8
    assert len(FIGURES["strategies"].compute(Request(checkpoint=loaded.last, level=1, degree=1))) == 1
    with pytest.raises(pr.InputError, match="expected a level from 1 to 2, got 3"):
        require_level(Request(run=loaded, level=3))
    # Coefficients are not decayed.
    groups = pr.training.make_optimizer(model, result.config).param_groups
    assert [group["weight_decay"] for group in groups] == [1e-4, 0.0]
    assert sum(p.numel() for p in groups[1]["params"]) == 4 + 3


@pytest.mark.slow
def test_any_input_and_any_network_is_trained(tmp_path: Path) -> None:
    inputs, classes = torch.randn(40, 6), (torch.arange(40) % 2)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
    loader = DataLoader(TensorDataset(inputs, classes), batch_size=10)
    result = fit(model, loader, loader, tmp_path / "run", epochs=30, device="cpu", lr=0.3)
    assert result.config.model.name == ":Sequential"
    with torch.no_grad():
        expected = (model(inputs).argmax(1) == classes).float().mean()
    assert result.last_accuracy == pytest.approx(float(expected))
    assert load_run(tmp_path / "run").init is None


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        return iter(())


class OwnGenerator(Noisy):
    def __init__(self) -> None:
        super().__init__()
        self.generator = np.random.default_rng(1)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.images[index] + self.generator.random(), index % 3


class Triples(Noisy):
    def __getitem__(self, index: int) -> Any:
        return self.images[index], index % 3, index


def of_classes(*classes: int) -> TensorDataset:
    return TensorDataset(torch.ones(len(classes), 1), torch.tensor(classes))


@pytest.mark.usefixtures("types_unchecked")
@pytest.mark.parametrize(
    ("model", "data", "message"),
    [
        (3, Noisy(), "expected a torch.nn.Module to train, got int"),
        (Net(), Stream(), "training data: expected a map-style data set, .* a stream has no order"),
        (Net(), DataLoader(Stream()), "training data: expected a map-style data set"),
        (Net(), Triples(), "expected samples .input, class. that make a pair of tensors, got a .* of 3"),
        (nn.Flatten(), Noisy(), "a Flatten has no weights that are trained"),
        (nn.Linear(3, 3), Noisy(), "Linear doesn't take the samples, torch.float32 of shape .2, 2, 8, 8."),
        (nn.Conv2d(2, 3, 3), Noisy(), r"expected logits of shape .batch, num_classes.*, got .2, 3, 6, 6."),
        (nn.Linear(1, 2), of_classes(1, -1, 0), "expected classes from 0 to 1, got the class -1; number them from 0"),
        (nn.Linear(1, 2), of_classes(0, 2, 1), "the network has 2 outputs, and a sample the class 2; give it more"),
    ],
)
def test_what_cannot_be_fitted_is_said(model: Any, data: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(pr.InputError, match=message):
        fit(model, data, data, tmp_path / "run", epochs=1, device="cpu")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_fields_are_checked(tmp_path: Path) -> None:
    with pytest.raises(pr.InputError, match="unknown field of fit 'epoch': did you mean 'epochs'"):
        fit(net(), Noisy(), Noisy(), tmp_path / "run", epoch=1)
    with pytest.raises(pr.InputError, match="unknown field of fit 'augment'"):
        fit(net(), Noisy(), Noisy(), tmp_path / "run", augment="flip")
    with pytest.raises(pr.InputError, match="resume goes on with the run in out"):
        fit(net(), Noisy(), Noisy(), resume=True)
    fit(net(), Noisy(), Noisy(12), tmp_path / "run", epochs=1, device="cpu")
    with pytest.raises(pr.InputError, match=r"has lr 0.1, got 0.2: give what it began with"):
        fit(net(), Noisy(), Noisy(12), tmp_path / "run", epochs=1, device="cpu", lr=0.2, resume=True)
    with pytest.raises(pr.InputError, match="the images are no longer those"):
        fit(net(), Noisy(28), Noisy(12), tmp_path / "run", epochs=1, device="cpu", resume=True)
    with pytest.raises(pr.InputError, match=r"given to pr\.training\.fit; go on by the same call"):
        pr.training.resume(tmp_path / "run")


def test_data_with_a_generator_of_its_own_is_warned_of(tmp_path: Path) -> None:
    reporter = Warnings()
    fit(net(), OwnGenerator(), Noisy(12), tmp_path / "run", epochs=1, device="cpu", reporter=reporter)
    # The run is there already: without a reporter the warning is Python's, and comes before.
    words = "a sample that is read twice differs: the data set draws from a generator"
    with pytest.warns(UserWarning, match=words), pytest.raises(pr.PolyrootsError):
        fit(net(), OwnGenerator(), Noisy(12), tmp_path / "run", epochs=1, device="cpu")
    assert reporter.messages == [
        "a sample that is read twice differs: the data set draws from a generator of its own; a run that is stopped "
        "and resumed won't be bit by bit the one without the stop"
    ]


@pytest.mark.usefixtures("types_unchecked")
def test_a_loader_given_to_train_names_fit() -> None:
    config = pr.training.train_config("digits", pr.models.model_config("q2", image_size=8, in_channels=1))
    with pytest.raises(pr.InputError, match=r"got DataLoader: .* by pr.training.fit\(model, train, test, ...\)"):
        pr.training.train(config, DataLoader(Noisy()))  # type: ignore[arg-type]


def test_parts_are_initialised_without_training() -> None:
    model = net()
    x = torch.zeros(2, 2, 8, 6)
    parts = poly_parts(model, x)
    assert [(part.name, part.size, part.begins_at_zero) for part in parts] == [
        ("level", (8, 6), True),
        ("block.level", (8, 6), True),
    ]
    report = initialize_parts(model, x, InitRequest(strategy="leja"))
    assert report is not None
    assert [len(level.blocks) for level in report.levels] == [3, 2]
    roots = pr.select_roots(pr.eigenvalues(model.level.A.weight, (8, 6)), strategy="leja", blocks="L,L,C")
    found = [root for block in report.levels[0].blocks for root in block.roots]
    np.testing.assert_allclose(np.sort_complex([complex(*root) for root in found]), np.sort_complex(roots))
    assert initialize_parts(nn.Linear(2, 2), torch.ones(2, 2), InitRequest()) is None


@pytest.mark.slow
def test_a_callable_is_a_model(module: Path) -> None:
    output = run("train", "--model", "my_networks:Net", "--epochs", 1, "--limit", 40, "--device", "cpu", "--out", "run")
    assert "Net, " in output.stdout
    assert "level.A" in output.stdout
    assert "  polyroots evaluate run/last.pt --limit 40 --run-code\n" in output.stdout
    config = pr.training.load_config(pr.training.Run("run"))
    assert config.model.name == "my_networks:Net"
    assert config.model.num_classes == 10
    # The code of a checkpoint is run only where that is asked for.
    checkpoint = pr.load_checkpoint("run/last.pt")
    sys.modules.pop("my_networks")
    with pytest.raises(pr.InputError, match="built by the code of my_networks:Net"):
        checkpoint.model()
    assert len(read_layers("run/last.pt").layers) == 2
    assert "my_networks" not in sys.modules
    assert "--run-code" in fails("evaluate", "run/last.pt")
    assert "accuracy" in run("evaluate", "run/last.pt", "--run-code").stdout
    assert type(checkpoint.model(run_code=True)).__name__ == "Net"
    result = run("train", "--resume", "run")
    assert "run is done: 1 epoch" in result.stdout


@pytest.mark.slow
def test_a_study_takes_a_callable(module: Path) -> None:
    (module / "study.toml").write_text(
        'title = "own"\n\n[base]\nmodel = "my_networks:Net"\nepochs = 1\nlimit = 40\n\n'
        '[axes]\nroots = ["extremal", "leja"]\n'
    )
    planned = json.loads(run("study", "plan", "study.toml", "--json").stdout)["runs"]
    network = network_of(pr.models.model_config("my_networks:Net", image_size=8, in_channels=1))
    assert [row["weights"] for row in planned] == [sum(p.numel() for p in network.parameters())] * 2
    run("study", "run", "study.toml", "--out", "out")
    assert len({load_run(path.parent).init["strategy"] for path in Path("out").rglob("init.json")}) == 2
    assert "leja" in run("study", "table", "out").stdout


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none_such:net", "there is no module none_such"),
        ("odd_module:net", "odd_module can't be imported: NameError: name 'none' is not defined"),
        ("my_networks:Nett", "my_networks has no Nett"),
        ("my_networks:broken", "my_networks:broken can't be built: no such thing"),
        ("my_networks:number", "expected my_networks:number to return a torch.nn.Module, got int"),
    ],
)
def test_a_callable_that_is_none_is_said(module: Path, name: str, message: str) -> None:
    Path("odd_module.py").write_text("none\n")
    with pytest.raises(pr.InputError, match=message):
        network_of(pr.models.model_config(name))


def test_channels_of_an_own_network_are_its_own() -> None:
    with pytest.raises(pr.InputError, match="m:f chooses its channels itself, got 3; leave them out"):
        pr.models.model_config("m:f", channels=[3])
    with pytest.raises(pr.InputError, match="m:f is code of your own: call it yourself"):
        pr.models.build("m:f")
    with pytest.raises(pr.InputError, match="padding is no option of m:f"):
        pr.models.model_config("m:f", padding="circular")
