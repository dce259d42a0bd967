"""``polyroots init`` on files of matrices, against the roots of the matrix in memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import fails, run
from scipy.io import mmwrite
from scipy.sparse import csr_array, diags_array, save_npz

import polyroots as pr
from polyroots.initialization import InitRequest, RequestError, initialize_from


def advection(n: int = 40) -> Any:
    """A tridiagonal matrix with the eigenvalues 3 + 2 sqrt(0.5) cos(k pi / (n + 1))."""
    return csr_array(diags_array([-1.0, 3.0, -0.5], offsets=[-1, 0, 1], shape=(n, n), dtype=float))


def written(A: Any, path: Path) -> Path:
    if path.suffix == ".npz":
        save_npz(path, A)
    else:
        mmwrite(path, A)
    return path


@pytest.mark.parametrize("name", ["A.mtx", "A.npz"])
@pytest.mark.parametrize("factor", [1.0, 1 + 0.2j])
def test_roots_of_a_file_are_those_of_the_matrix(name: str, factor: complex, tmp_path: Path) -> None:
    A = advection() * factor
    path = written(A, tmp_path / name)
    result = run("init", path, "--degree", 3, "--roots", "minimax", "--json")
    document = json.loads(result.stdout)
    (level,) = document["levels"]
    roots = np.array([complex(*root) for block in level["blocks"] for root in block["roots"]])
    expected = pr.select_roots(A, 3, "minimax")
    assert sorted(roots, key=lambda z: (z.real, z.imag)) == pytest.approx(
        sorted(expected, key=lambda z: (z.real, z.imag)), rel=1e-6
    )
    Lambda = factor * (3 + np.sqrt(2) * np.cos(np.arange(1, 41) * np.pi / 41))
    assert level["radius"] == pytest.approx(np.abs(Lambda).max(), rel=1e-9)
    q = np.prod([1 - Lambda / root for root in expected], axis=0)
    assert level["diagnosis"]["max_abs"] == pytest.approx(np.abs(q).max(), rel=1e-6)
    assert (level["title"], level["size"], document["padding"]) == (name, [40, 40], "none")
    assert any("real coefficients" in words for words in level["words"]) == (factor != 1)


def test_tables_pictures_and_comparisons_of_a_matrix(tmp_path: Path, rough_pictures: None) -> None:
    path = written(advection(), tmp_path / "A.mtx")
    result = run("init", path, "--degree", 1, "--roots", "minimax", "--compare", "--plot", tmp_path / "pictures")
    text = result.output
    assert f"degree 1, roots 'minimax', {path}, a matrix" in " ".join(text.split())
    assert "40x40" in text
    assert "All strategies, by max|q|" in text
    assert "padding" not in text
    assert len(list((tmp_path / "pictures").iterdir())) >= 1


def test_symmetric_and_3x3_matrices_are_read_in_full(tmp_path: Path) -> None:
    A = np.array([[2.0, -1, 0], [-1, 3, 1], [0, 1, 4]])
    mmwrite(tmp_path / "A.mtx", A, symmetry="symmetric")
    result = initialize_from(tmp_path / "A.mtx", InitRequest(degree=2, strategy="minimax"))
    assert result.report is not None
    roots = sorted(root[0] for block in result.report.levels[0].blocks for root in block.roots)
    np.testing.assert_allclose(roots, np.linalg.eigvalsh(A), rtol=1e-9)


@pytest.mark.slow
def test_ritz_values_of_a_large_matrix_are_said_to_be_such(tmp_path: Path) -> None:
    path = written(advection(3000), tmp_path / "A.npz")
    text = " ".join(run("init", path, "--degree", 2, "--roots", "harmonic-ritz").output.split())
    assert text.count("3,000 unknowns are too many for all eigenvalues: 150 Ritz values of Arnoldi's method") == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--image-size", "8"], "which has no grid, layers or network for --image-size; leave it out"),
        (["--two-grid"], "for --two-grid; leave it out"),
        (["--region", "high"], "for --region; leave it out"),
        (["--spectrum-padding", "zeros"], "for --spectrum-padding; leave it out"),
        (["--layer", "a"], "for --layer; leave it out"),
        (["--stride", "2"], "for --stride; leave it out"),
        (["--out", "b.pt"], "for --out; leave it out"),
    ],
)
def test_options_of_layers_are_refused(options: list[str], message: str, tmp_path: Path) -> None:
    path = written(advection(), tmp_path / "A.mtx")
    assert message in fails("init", path, *options, exit_code=2)


def test_what_is_no_square_matrix_is_refused(tmp_path: Path) -> None:
    mmwrite(tmp_path / "wide.mtx", np.ones((3, 4)))
    assert "expected a square matrix, got 3 x 4; others have no eigenvalues" in fails("init", tmp_path / "wide.mtx")
    (tmp_path / "damaged.mtx").write_text("%%MatrixMarket matrix coordinate real general\n3 3 2\n1 1 1.0\n")
    assert "damaged.mtx is damaged: expected a matrix in the format of MatrixMarket" in fails(
        "init", tmp_path / "damaged.mtx"
    )
    assert "no file" in fails("init", tmp_path / "none.mtx")
    save_npz(tmp_path / "A.npz", advection())
    assert "'polyroots init' reads it" in fails("spectrum", tmp_path / "A.npz")
    np.savez(tmp_path / "arrays.npz", a=np.ones(3))
    assert "an .npz file of numpy" in fails("init", tmp_path / "arrays.npz")
    save_npz(tmp_path / "nan.npz", advection() * np.nan)
    assert "entries of the matrix are NaN or infinite" in fails("init", tmp_path / "nan.npz")
    with pytest.raises(RequestError, match="is a matrix"):
        initialize_from(tmp_path / "A.npz", InitRequest(signs="placement"))
