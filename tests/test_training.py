from __future__ import annotations

import csv
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from images import image_tree
from small_runs import small, state_of

import polyroots as pr
from polyroots.checkpoints.own import Checkpoint, load_checkpoint
from polyroots.training import (
    Beginning,
    Reporter,
    Scores,
    evaluate,
    evaluate_checkpoint,
    open_data,
    train,
    train_config,
)
from polyroots.training.data.augmentation import augment
from polyroots.training.data.batches import epoch_order, split_batches
from polyroots.training.data.draws import Draws
from polyroots.training.data.normalisation import Normalisation
from polyroots.training.loop.optimizer import make_optimizer
from polyroots.training.runs.directory import COLUMNS, begin, begin_anew

# A folder with two classes, and images of another size.
BROKEN = {
    f"{part}/{name}/0.png": (8, 9 if part + name == "testb" else 8) for part in ("train", "test") for name in "ab"
}


def test_a_run_writes_what_it_promises(tmp_path: Path) -> None:
    source = open_data("digits")
    config = small(source, limit=100, epochs=3, augment="crop")
    result = train(config, source, tmp_path / "run")
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "best.pt",
        "config.json",
        "init.json",
        "last.pt",
        "metrics.csv",
        "result.json",
    ]
    document = json.loads(result.run.config.read_text())
    assert document["config"] == config.model_dump(mode="json")
    assert document["environment"]["torch"] == version("torch")
    with result.run.metrics.open() as stream:
        rows = list(csv.DictReader(stream))
    assert tuple(rows[0]) == COLUMNS
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert float(rows[0]["lr"]) == config.lr
    assert float(rows[2]["lr"]) == pytest.approx(config.lr * (1 + np.cos(np.pi * 2 / 3)) / 2)
    accuracies = [float(row["test_accuracy"]) for row in rows]
    assert result.last_accuracy == accuracies[-1]
    assert (result.best_accuracy, result.best_epoch) == (max(accuracies), 1 + accuracies.index(max(accuracies)))

    last, best = load_checkpoint(result.run.last), load_checkpoint(result.run.best)
    assert (last.training["epoch"], best.training["epoch"]) == (3, result.best_epoch)
    assert json.loads(result.run.init.read_text()) == json.loads(json.dumps(last.init))
    assert last.training["state"]["optimizer"]["param_groups"][1]["weight_decay"] == 0
    assert "state" not in best.training
    for checkpoint, accuracy in ((last, result.last_accuracy), (best, result.best_accuracy)):
        scores, _ = evaluate_checkpoint(checkpoint, limit=100, device="cpu")
        assert scores.accuracy == accuracy
        assert scores.images == 100
    assert evaluate_checkpoint(last, device="cpu")[0].images == 360


def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    source = open_data("digits")
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        train(small(source, limit=64, seed=seed, augment="crop,flip"), source, tmp_path / name)
    a, b, c = (state_of(tmp_path / name / "last.pt") for name in "abc")
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert not torch.equal(a["head.weight"], c["head.weight"])


def test_training_starts_from_a_file(tmp_path: Path, init_file: Path) -> None:
    """Training with tiny steps leaves the weights of the file."""
    source, start = open_data("digits"), load_checkpoint(init_file)
    config = train_config("digits", start.config, epochs=1, lr=1e-30, limit=50, device="cpu", seed=8)
    train(config, source, tmp_path / "run", start=start)
    trained = state_of(tmp_path / "run" / "last.pt")
    parameters = [key for key, _ in start.model().named_parameters()]
    for key in parameters:
        torch.testing.assert_close(trained[key], start.weights[key], rtol=0, atol=1e-25)
    assert json.loads((tmp_path / "run" / "init.json").read_text()) == json.loads(json.dumps(start.init))


def test_a_file_that_does_not_fit_the_data_is_said(tmp_path: Path, init_file: Path, image_folder: Path) -> None:
    source, start = open_data("folder", image_folder), load_checkpoint(init_file)
    message = "takes images of 1x8x8 and has 10 classes, .* has images of 3x12x12 and 2 classes"
    with pytest.raises(pr.InputError, match=message):
        train(train_config("folder", start.config, device="cpu"), source, tmp_path / "run", start=start)
    assert not (tmp_path / "run").exists()


def test_a_single_image_left_over_joins_a_batch(tmp_path: Path) -> None:
    """ResNet18 has one pixel at its end for digits, where batch norm needs two images."""
    assert [len(batch) for batch in split_batches(torch.arange(9), 4)] == [4, 5]
    assert [len(batch) for batch in split_batches(torch.arange(10), 4)] == [4, 4, 2]
    assert torch.equal(torch.cat(split_batches(torch.arange(9), 4)), torch.arange(9))
    source = open_data("digits")
    model = pr.models.model_config("resnet18", image_size=8, in_channels=1)
    config = train_config("digits", model, epochs=1, limit=9, batch_size=4, device="cpu")
    result = train(config, source, tmp_path / "run")
    group = load_checkpoint(result.run.last).training["state"]["optimizer"]["param_groups"][0]
    assert group["lr"] == pytest.approx(config.lr / 2)  # the second of two steps: half of the cosine


def test_each_epoch_has_its_own_order() -> None:
    orders = {(seed, epoch): tuple(epoch_order(seed, epoch, 50).tolist()) for seed in (3, 4) for epoch in (1, 2)}
    assert len(set(orders.values())) == 4
    torch.rand(7)
    assert tuple(epoch_order(3, 2, 50).tolist()) == orders[3, 2]
    assert sorted(orders[3, 2]) == list(range(50))


def test_images_are_normalised_by_the_training_set(tmp_path: Path) -> None:
    source = open_data("digits")
    train(small(source, epochs=1, limit=100), source, tmp_path / "run")
    trained = load_checkpoint(tmp_path / "run" / "last.pt").training
    expected = Normalisation.of(source.load(limit=100).train)
    assert (trained["mean"], trained["std"]) == (list(expected.mean), list(expected.std))
    assert trained["mean"] != list(Normalisation.of(source.load(limit=100).test).mean)


def test_scores_are_means_over_all_images_in_evaluation_mode() -> None:
    """Scores are over several batches, with the running statistics of batch norm."""
    torch.manual_seed(37)
    split = open_data("digits").load().train
    normalise = Normalisation.of(split)
    model = pr.models.build("q2", image_size=8, in_channels=1, channels=(4, 8))
    pr.initialize(model)
    model.train()
    model(normalise(split.images[:200]))
    scores = evaluate(model, split, normalise, torch.device("cpu"))
    with torch.no_grad():
        logits = model.eval()(normalise(split.images))
    assert scores.images == 1437
    assert scores.loss == pytest.approx(float(torch.nn.functional.cross_entropy(logits, split.labels)), rel=1e-5)
    assert scores.accuracy == pytest.approx(float((logits.argmax(1) == split.labels).float().mean()), abs=1.5 / 1437)


def test_coefficients_are_not_decayed() -> None:
    model = pr.models.build("q4", image_size=8, in_channels=1, channels=(4, 8))
    optimizer = make_optimizer(model, small(open_data("digits")))
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    for name, parameter in model.named_parameters():
        assert decay[id(parameter)] == (0 if name.endswith("alphas") else 1e-4)
    assert len(decay) == len(list(model.parameters()))


def test_a_reporter_sees_the_run(tmp_path: Path, image_folder: Path) -> None:
    class Recorder(Reporter):
        def __init__(self) -> None:
            self.calls: list[Any] = []

        def on_images(self, done: int, total: int) -> None:
            self.calls.append("images")

        def on_start(self, beginning: Beginning) -> None:
            assert (beginning.epoch, beginning.step, beginning.source) == (0, 0, source)
            self.calls.append(("start", beginning.weights, beginning.init["degree"]))

        def on_step(self, epoch: int, done: int, total: int, loss: float, accuracy: float, rate: float) -> None:
            self.calls.append(("step", epoch, done, total))
            assert 0 <= accuracy <= 1

        def on_epoch(self, row: dict[str, float]) -> None:
            self.calls.append(("epoch", row["epoch"]))

    source, recorder = open_data("folder", image_folder), Recorder()
    train(small(source, epochs=1, batch_size=30), source, tmp_path / "run", reporter=recorder)
    images = recorder.calls.index("images"), len(recorder.calls) - recorder.calls[::-1].index("images")
    assert images[0] == 0
    assert recorder.calls[: images[1]] == ["images"] * images[1]
    weights = pr.models.count_weights(pr.models.build(small(source).model))
    assert recorder.calls[images[1]] == ("start", weights, 3)
    assert recorder.calls[-2:] == [("step", 1, 40, 40), ("epoch", 1)]
    assert set(recorder.calls[images[1] + 1 :]) <= {("step", 1, 30, 40), ("step", 1, 40, 40), ("epoch", 1)}


def test_two_colours_are_learnt(tmp_path: Path, image_folder: Path) -> None:
    source = open_data("folder", image_folder)
    result = train(small(source, epochs=6, lr=0.05), source, tmp_path / "run")
    assert result.last_accuracy == 1


def test_resnet18_trains_without_coefficients(tmp_path: Path) -> None:
    source = open_data("digits")
    model = pr.models.model_config("resnet18", image_size=8, in_channels=1)
    train(train_config("digits", model, epochs=1, limit=20, device="cpu"), source, tmp_path / "run")
    assert not (tmp_path / "run" / "init.json").exists()
    assert load_checkpoint(tmp_path / "run" / "last.pt").init is None


def test_a_loss_that_is_no_number_stops_the_run(tmp_path: Path) -> None:
    source = open_data("digits")
    with pytest.raises(
        pr.PolyrootsError,
        match=r"the loss is nan in step 2 of 4 in epoch 1, at a learning rate of 9.938e\+29; \S*last.pt holds the "
        r"network before its first step; choose a smaller lr than 1e\+30",
    ):
        train(small(source, limit=64, lr=1e30, epochs=5), source, tmp_path / "run")


def test_a_run_is_never_overwritten(tmp_path: Path) -> None:
    source = open_data("digits")
    train(small(source, limit=20, epochs=1), source, tmp_path / "run")
    before = (tmp_path / "run" / "metrics.csv").read_text()
    with pytest.raises(
        pr.FileError, match=r"holds a run already; choose another directory, or go on with it: polyroots"
    ):
        train(small(source, limit=20, epochs=1), source, tmp_path / "run")
    assert (tmp_path / "run" / "metrics.csv").read_text() == before


def test_a_run_that_cannot_start_leaves_nothing(tmp_path: Path) -> None:
    source = image_tree(tmp_path / "data", BROKEN)
    opened = open_data("folder", source)
    with pytest.raises(pr.FileError, match="all images must have one size"):
        train(small(opened), opened, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"lr": 0.0}, "lr: input should be greater than 0, got 0.0"),
        ({"lr": float("nan")}, "lr: input should be"),
        ({"epochs": 0}, "epochs: input should be greater than 0"),
        ({"augment": "mirror"}, "unknown augmentation 'mirror': expected crop, flip, autoaugment, cutout, none"),
        ({"epoch": 1}, "unknown field 'epoch': did you mean 'epochs'"),
    ],
)
def test_bad_training_configurations_are_one_sentence(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(pr.InputError, match=message):
        small(open_data("digits"), **fields)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_a_device_that_is_missing_is_said(tmp_path: Path) -> None:
    source = open_data("digits")
    with pytest.raises(pr.InputError, match="no cuda device is usable here; choose the device cpu"):
        train(small(source, device="cuda"), source, tmp_path / "run")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_a_cuda_device_trains(tmp_path: Path) -> None:
    source = open_data("digits")
    result = train(small(source, device="cuda", epochs=5), source, tmp_path / "run")
    assert result.last_accuracy > 0.8
    assert evaluate_checkpoint(load_checkpoint(result.run.last), device="cpu")[0].accuracy == pytest.approx(
        result.last_accuracy, abs=0.01
    )


def test_an_untrained_network_is_not_evaluated(init_file: Path) -> None:
    with pytest.raises(pr.InputError, match="has not been trained yet"):
        evaluate_checkpoint(load_checkpoint(init_file))


def test_other_classes_are_not_evaluated(tmp_path: Path, image_folder: Path) -> None:
    source = open_data("folder", image_folder)
    train(small(source, epochs=1, limit=10), source, tmp_path / "run")
    checkpoint = load_checkpoint(tmp_path / "run" / "last.pt")
    others = image_tree(tmp_path / "others", {"train/cat/0.png": (12, 12), "test/cat/0.png": (12, 12)})
    with pytest.raises(pr.InputError, match=r"was trained on the classes blue, red, .* has cat"):
        evaluate_checkpoint(checkpoint, data_dir=others)
    moved = Checkpoint(checkpoint.config, checkpoint.weights, None, checkpoint.training)
    assert "weights" not in repr(moved)
    assert evaluate_checkpoint(moved, data_dir=image_folder, device="cpu")[0].images == 12


def test_runs_of_the_same_second_do_not_share_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.strftime", lambda form: "20260305-101500")
    runs = [begin_anew("digits", "L,C", {})[0] for _ in range(3)]
    assert [str(run.path) for run in runs] == [
        "runs/20260305-101500-digits-LC",
        "runs/20260305-101500-digits-LC-2",
        "runs/20260305-101500-digits-LC-3",
    ]


@pytest.mark.parametrize("name", ["config.json", "metrics.csv", "last.pt", "best.pt"])
def test_what_is_left_of_a_run_is_not_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("kept")
    with pytest.raises(pr.FileError, match="holds a run already"):
        begin(tmp_path, {})
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "kept"


def test_a_run_that_cannot_begin_leaves_the_place_as_it_was(tmp_path: Path) -> None:
    broken = image_tree(tmp_path / "data", BROKEN)
    source = open_data("folder", broken)
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "notes.txt").write_text("kept")
    for name in ("empty", "notes", "new"):
        with pytest.raises(pr.FileError, match="all images must have one size"):
            train(small(source), source, tmp_path / name)
    assert list((tmp_path / "empty").iterdir()) == []
    assert [path.name for path in (tmp_path / "notes").iterdir()] == ["notes.txt"]
    assert not (tmp_path / "new").exists()


def test_configurations_that_do_not_fit_are_said(tmp_path: Path, init_file: Path) -> None:
    source, start = open_data("digits"), load_checkpoint(init_file)
    fields: tuple[dict[str, Any], ...] = ({"num_classes": 5}, {"image_size": 32}, {"in_channels": 3})
    for field in fields:
        model = pr.models.model_config("q4", **{"image_size": 8, "in_channels": 1} | field)
        with pytest.raises(pr.InputError, match="make a network for it with 'polyroots init --dataset digits'"):
            train(train_config("digits", model, device="cpu"), source, tmp_path / "run")
    with pytest.raises(pr.InputError, match="is not that of the configuration"):
        train(small(source), source, tmp_path / "run", start=start)
    with pytest.raises(pr.InputError, match="is for the data set folder, got digits"):
        train(small(source).model_copy(update={"dataset": "folder"}), source, tmp_path / "run")
    one = open_data("folder", image_tree(tmp_path / "one", {"train/a/0.png": (8, 8), "test/a/0.png": (8, 8)}))
    with pytest.raises(pr.InputError, match="has one class, expected two at least"):
        train(small(one), one, tmp_path / "run")
    with pytest.raises(pr.InputError, match="unknown data set 'digit'"):
        train_config("digit", start.config)
    assert not (tmp_path / "run").exists()


def test_a_network_that_diverges_in_the_last_step_is_not_kept(tmp_path: Path) -> None:
    source = open_data("digits")
    with pytest.raises(
        pr.PolyrootsError, match=r"the test loss is (nan|inf) after epoch 1; \S* holds the network before"
    ):
        train(small(source, limit=10, lr=1e30, epochs=1), source, tmp_path / "run")
    last = load_checkpoint(tmp_path / "run" / "last.pt")
    assert last.training["epoch"] == 0
    assert all(weight.isfinite().all() for weight in last.weights.values())
    assert not (tmp_path / "run" / "best.pt").exists()


def test_a_step_is_by_its_definition(tmp_path: Path) -> None:
    """The training loss has each sample in its order with its own random numbers, and a short batch by its share."""
    source = open_data("digits")
    config = small(source, limit=40, epochs=1, lr=1e-30, augment="crop")
    result = train(config, source, tmp_path / "run")
    data = source.load(limit=40)
    normalise = Normalisation.of(data.train)
    draws = Draws(config.seed, 1, 40)
    torch.manual_seed(config.seed)
    model = pr.models.build(config.model)
    pr.initialize(model)
    total = 0.0
    for chosen in epoch_order(config.seed, 1, 40).split(16):
        images = augment(("crop",), data.train.images[chosen], draws.of(chosen), fill=0)
        with torch.no_grad():
            logits = model(normalise(images))
        total += float(torch.nn.functional.cross_entropy(logits, data.train.labels[chosen], reduction="sum"))
    with result.run.metrics.open() as stream:
        (row,) = csv.DictReader(stream)
    assert float(row["train_loss"]) == pytest.approx(total / 40, rel=1e-5)
    checkpoint = load_checkpoint(result.run.last)
    scores, _ = evaluate_checkpoint(checkpoint, limit=40, device="cpu")
    assert float(row["test_loss"]) == pytest.approx(scores.loss, rel=1e-6)


def test_the_first_of_equally_good_epochs_is_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyroots.training.loop.trainer.Trainer._score", lambda *args: Scores(1.0, 0.5, 10))
    source = open_data("digits")
    result = train(small(source, limit=20, epochs=3), source, tmp_path / "run")
    assert (result.best_epoch, result.best_accuracy) == (1, 0.5)


def test_a_trained_start_has_no_report_of_its_coefficients(tmp_path: Path) -> None:
    source = open_data("digits")
    first = train(small(source, limit=20, epochs=1), source, tmp_path / "first")
    start = load_checkpoint(first.run.last)
    second = train(small(source, limit=20, epochs=1), source, tmp_path / "second", start=start)
    assert not second.run.init.exists()
    assert load_checkpoint(second.run.last).init is None


@pytest.mark.slow
def test_the_default_reaches_98_percent_on_digits(tmp_path: Path) -> None:
    """The test accuracy after the last epoch of `polyroots train` without options is above 98 %."""
    source = open_data("digits")
    model = pr.models.model_config("q4", image_size=8, in_channels=1)
    result = train(train_config("digits", model, seed=5, device="cpu"), source, tmp_path / "run")
    assert result.last_accuracy >= 0.98
