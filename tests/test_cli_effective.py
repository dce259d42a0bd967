"""``polyroots spectrum --effective``: what the levels of a trained network apply."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import fails, run

import polyroots as pr
from polyroots.training import evaluate_checkpoint, load_run, normalised_test_images, open_data


def test_the_test_images_of_a_checkpoint_are_those_of_its_evaluation(trained: tuple[Path, str]) -> None:
    checkpoint = pr.load_checkpoint(trained[0])
    images = normalised_test_images(checkpoint)
    (split,) = open_data("digits").read(("test",))
    with torch.no_grad():
        hits = checkpoint.model().eval()(images).argmax(1) == split.labels
    assert float(hits.double().mean()) == pytest.approx(evaluate_checkpoint(checkpoint)[0].accuracy, abs=1e-7)
    assert len(normalised_test_images(checkpoint, limit=20)) == 20


@pytest.mark.parametrize("kind", ["linear", "relu"])
def test_the_table_and_the_document_have_every_level(trained: tuple[Path, str], kind: str) -> None:
    model: Any = load_run(trained[0]).model
    images = normalised_test_images(pr.load_checkpoint(trained[0]), limit=500)
    text = run("spectrum", trained[0], "--effective", kind).stdout
    levels = json.loads(run("spectrum", trained[0], "--effective", kind, "--json").stdout)["levels"]
    assert [(level["level"], level["size"], level["channels"]) for level in levels] == [(1, [8, 8], 6), (2, [4, 4], 12)]
    for number, document in enumerate(levels, 1):
        expected = {
            "nominal": pr.effective_operator(model, number, nominal=True),
            "linear": pr.effective_operator(model, number),
            **({"relu": pr.effective_operator(model, number, data=images)} if kind == "relu" else {}),
        }
        assert document.keys() - {"level", "size", "channels"} == expected.keys()
        for name, operator in expected.items():
            for what in ("radius", "median", "norm", "feature_norm"):
                assert document[name][what] == pytest.approx(getattr(operator, what), rel=1e-9, abs=1e-12)
            row = "   ".join(f"{getattr(operator, what):#.4g}" for what in ("radius", "median", "norm"))
            assert " ".join(row.split()) in " ".join(text.split())
    assert ("and ReLU's slope" in text) == (kind == "relu")
    assert "levels" not in json.loads(run("spectrum", trained[0], "--json").stdout)


def test_what_has_no_levels_is_said(init_file: Path, tmp_path: Path) -> None:
    assert "the batch norm levels.0.blocks.0.rho.0 still has mean 0 and variance 1, as it was made" in fails(
        "spectrum", init_file, "--effective", "linear"
    )
    assert "this checkpoint has not been trained yet" in fails("spectrum", init_file, "--effective", "relu")
    torch.save({"a.weight": torch.ones(2, 2, 3, 3)}, tmp_path / "theirs.pt")
    message = fails("spectrum", tmp_path / "theirs.pt", "--effective", "linear")
    assert "theirs.pt was not written by polyroots; expected a file of 'polyroots train'" in message
    resnet: Any = pr.models.build("resnet20", image_size=8, scale=1 / 4)
    pr.save_checkpoint(tmp_path / "resnet.pt", pr.Checkpoint(resnet.config, resnet.state_dict()))
    assert "resnet20 has no levels; use the checkpoint of a Poly-MgNet" in fails(
        "spectrum", tmp_path / "resnet.pt", "--effective", "linear"
    )
