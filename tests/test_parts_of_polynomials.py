"""Parts of the package polynomials on their own, each against a formula, a loop or a dense matrix."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from dense import dense_operator, matched_error
from numpy.typing import NDArray
from scipy.sparse.linalg import aslinearoperator

import polyroots as pr
from polyroots.polynomials.arnoldi import arnoldi
from polyroots.polynomials.blocks import (
    ComplexPair,
    Factor,
    Linear,
    RealPair,
    SymmetricPair,
    factor_of_block,
    pair_conjugates,
)
from polyroots.polynomials.certificates import Certificates
from polyroots.polynomials.coefficients import close_conjugates
from polyroots.polynomials.cone_program import least_maximum, least_mean
from polyroots.polynomials.lower_bound import proven_norm_bound
from polyroots.polynomials.minimax import _exchange, _first_points, _leja_polynomial, is_closed
from polyroots.polynomials.operator_norm import _norm_by_products, norm_on_blocks
from polyroots.polynomials.range_polygon import RangePolygon
from polyroots.polynomials.symbol_norms import SymbolNorms, _largest_first
from polyroots.polynomials.target import Target, merge
from polyroots.polynomials.two_grid import _modulo_null_space, _pseudo_inverse, _radii_and_norms
from polyroots.spectra import OperatorBlocks


def complex_normal(rng: np.random.Generator, *shape: int) -> NDArray[np.complex128]:
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def test_computed_roots_become_exactly_real_or_conjugate() -> None:
    computed = np.array([3 + 1e-14j, 1 + 2j, -1 + 1j, 1 - 2j + 1e-15, -2 - 1e-14j, -1 - 1j])
    found = close_conjugates(computed, 1e-12)
    assert found.tolist() == [-2, 3, -1 + 1j, -1 - 1j, 1 + 2j, 1 - 2j]
    # The tolerance is relative to the modulus.
    assert close_conjugates(np.array([1e6 + 1e-7j]), 1e-12).tolist() == [1e6]
    with pytest.raises(pr.ConvergenceError, match="not closed under conjugation"):
        close_conjugates(np.array([1e-6 + 1e-7j]), 1e-12)
    same = close_conjugates(np.array([2 + 1j, 2 + 3j, 2 - 3j, 2 - 1j]), 0.0)
    assert same.tolist() == [2 + 1j, 2 - 1j, 2 + 3j, 2 - 3j]


def test_each_root_finds_its_conjugate() -> None:
    roots = np.array([1 + 1j, 5, 1 - 1j * (1 + 1e-13), 2 - 3j, -4 + 1e-13j, 2 + 3j, 1 + 1j, 1 - 1j])
    expected = [Linear(5.0), Linear(-4.0), ComplexPair(1, 1), ComplexPair(2, 3), ComplexPair(1, 1)]
    assert pair_conjugates(roots) == expected
    for alone in ([1 + 1j], [1 - 1j], [1 + 1j, 1 - 1j, 1 - 1j], [1 + 1j, 1 - 1.001j]):
        with pytest.raises(pr.InputError, match="closed under conjugation"):
            pair_conjugates(np.array(alone))


def test_points_merge_within_their_errors() -> None:
    """Chains of points within the larger error of two are one; nearly real ones are real; weights are added."""
    points = np.array([1, 1 + 1e-7j, 1 + 3e-7, 2, 2 + 1e-3j, -5 + 2j, -5 + 2j, 3 + 1e-8j])
    errors = np.array([2e-7, 2e-7, 3e-7, 1e-4, 1e-4, 1e-9, 1e-9, 1e-7])
    merged, largest, weights = merge(points, errors)
    assert merged.tolist() == [-5 + 2j, 1, 2, 2 + 1e-3j, 3]
    assert largest.tolist() == [1e-9, 3e-7, 1e-4, 1e-4, 1e-7]
    np.testing.assert_allclose(weights, np.array([2, 3, 1, 1, 1]) / 8, rtol=1e-14)
    shares = np.arange(1.0, 9) / 36
    _, _, given = merge(points, errors, shares)
    np.testing.assert_allclose(given, np.array([13, 6, 4, 5, 8]) / 36, rtol=1e-14)
    for scale in (1e-300, 1e300):
        scaled, _, _ = merge(scale * points, scale * errors)
        assert scaled.tolist() == (scale * merged).tolist()


def test_leja_points_are_the_roots_of_the_start() -> None:
    points = np.array([1, 4, 2 + 1j, 3 + 2j, -1 + 0.5j, 2.5]) + 0j
    for count in range(1, 8):
        values = _leja_polynomial(points, count)
        roots: list[complex] = []
        while len(roots) < count:
            distances = [np.prod([abs(z - root) for root in [0, *roots]]) for z in points]
            z = complex(points[int(np.argmax(distances))])
            pair = [z, z.conjugate()] if z.imag else [z]
            roots += pair if len(roots) + len(pair) <= count else [abs(z)]
        expected = [np.prod([1 - z / root for root in roots]) for z in points]
        np.testing.assert_allclose(values, expected, rtol=1e-12, atol=1e-14)


def test_gaps_are_closed_relative_to_the_distance_from_zero_and_one() -> None:
    for value in (1e-3, 0.4, 1 - 1e-3):
        gap = 1e-7 * min(value, 1 - value)
        assert is_closed(value, value - 0.99 * gap)
        assert not is_closed(value, value - 1.01 * gap)
        assert is_closed(value, value - 0.29 * gap, 0.3)
        assert not is_closed(value, value - 0.31 * gap, 0.3)
    near = 1 - 1e-6
    assert is_closed(near, near - 0.99e-10)
    assert not is_closed(near, near - 1.02e-10)


def test_the_search_begins_with_points_that_determine_all_coefficients(rng: np.random.Generator) -> None:
    """Those with the largest |q| are among them, and enough others that no coefficient is left open."""
    for is_real in (True, False):
        z = rng.standard_normal(200) + 3 + 1j * (0 if is_real else rng.standard_normal(200))
        Phi = np.linalg.qr(z[:, None] ** np.arange(1, 6))[0]
        q = complex_normal(rng, 200)
        q[:40] = 1e-3 * z[:40]
        chosen = _first_points(Phi, q, 5)
        assert set(np.argsort(-np.abs(q))[:24]) <= set(chosen)
        assert 24 <= len(chosen) <= 34
        spread = np.setdiff1d(chosen, np.argsort(-np.abs(q))[:24])
        assert len(spread) > 0
        rows = np.concatenate([Phi[chosen].real, Phi[chosen].imag])
        assert np.linalg.svd(rows, compute_uv=False)[-1] > 0.05


def test_the_exchange_finds_chebyshevs_minimum(rng: np.random.Generator) -> None:
    """On [1, 3], |1 - c z - d z^2| is at least 1 / T_2(2) = 1/7; with an orthonormal basis, from any start."""
    z = np.linspace(1, 3, 201) + 0j
    Phi = np.linalg.qr(np.stack([z, z**2], axis=1))[0]
    for start in (np.ones(201) + 0j, 1 + Phi @ rng.standard_normal(2)):
        found = _exchange(start, Phi, 2)
        assert found.value == pytest.approx(1 / 7, rel=1e-6)
        assert np.abs(start - Phi @ found.change).max() == pytest.approx(found.value, rel=1e-12)
        # The weights are on the extrema 1, 2 and 3, those of the ends half of that between them where both q agree.
        used = z[found.weights > 1e-3].real
        assert used.tolist() == pytest.approx([1, 2, 3], abs=0.011)
        assert found.weights.sum() == pytest.approx(1, rel=1e-9)


def test_least_maxima_and_means_of_norms(rng: np.random.Generator) -> None:
    """The centre of the smallest circle around a right triangle is the middle of its hypotenuse."""
    corners = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    Phi = np.broadcast_to(np.eye(2), (4, 2, 2))
    centre, multipliers = least_maximum(corners, Phi)
    np.testing.assert_allclose(centre, [2, 1], atol=1e-6)
    np.testing.assert_allclose(multipliers, [0, 0.5, 0.5, 0], atol=1e-5)
    weights = np.array([0.1, 0.2, 0.3, 0.4])
    mean = weights @ corners
    assert least_mean(corners, Phi, weights) == pytest.approx(
        math.sqrt(weights @ ((corners - mean) ** 2).sum(axis=1)), rel=1e-12
    )
    assert least_mean(corners, Phi, multipliers) == pytest.approx(math.sqrt(5), rel=1e-6)


@pytest.mark.parametrize("is_complex", [False, True])
@pytest.mark.parametrize("prior", [(), (1.5, -0.7)])
def test_the_norm_of_a_proof_is_that_of_the_gram_matrix(
    prior: tuple[float, ...], is_complex: bool, rng: np.random.Generator
) -> None:
    """min over real c of sum |(1 - sum_i c_i A^i) v|^2 over the sum of |v|^2, by least squares."""
    parts, columns, total = [], [], 0.0
    for size, vectors in ((4, 2), (3, 3)):
        block = complex_normal(rng, size, size) if is_complex else rng.standard_normal((size, size))
        v = complex_normal(rng, size, vectors) if is_complex else rng.standard_normal((size, vectors))
        parts.append((block, v))
        total += float((np.abs(v) ** 2).sum())
        for root in prior:
            v = v - block @ v / root
        powers = [v]
        for _ in range(3):
            powers.append(block @ powers[-1])
        columns.append(np.stack([power.ravel() for power in powers], axis=1))
    K = np.concatenate(columns)
    K = np.concatenate([K.real, K.imag])
    residual = K[:, 0] - K[:, 1:] @ np.linalg.lstsq(K[:, 1:], K[:, 0], rcond=None)[0]
    expected = np.linalg.norm(residual) / math.sqrt(total)
    found = proven_norm_bound(parts, 3, prior)
    assert found == pytest.approx(expected, rel=1e-9)


ANGLES = 2 * np.pi * np.arange(64) / 64


def disc(centre: float, radius: float) -> RangePolygon:
    return RangePolygon(centre * np.cos(ANGLES) + radius)


def test_polygons_around_discs() -> None:
    """The support of a disc of radius r around c is c cos(phi) + r; 64 lines touch it."""
    for centre, radius in ((3.0, 1.0), (-2.0, 0.5), (0.3, 1.0)):
        polygon = disc(centre, radius)
        np.testing.assert_allclose(np.abs(polygon.corners - centre), radius / np.cos(np.pi / 64), rtol=1e-12)
        np.testing.assert_allclose(
            np.angle(polygon.corners - centre) % (2 * np.pi), 2 * np.pi * (np.arange(64) + 0.5) / 64, rtol=1e-12
        )
        assert polygon.holds_zero is (abs(centre) <= radius)
        for roots in (1, 3):
            points = polygon.points(roots)
            # 33 edges from the first below the real axis on, each with its second corner.
            assert len(points) == 33 * (64 * roots + 1)
            distances = np.abs(points - centre)
            assert distances.min() >= radius * (1 - 1e-12)
            assert distances.max() <= radius / np.cos(np.pi / 64) * (1 + 1e-12)
            assert points.imag.max() >= radius * (1 - 1e-12)
            for sign in (1, -1):
                assert (sign * (points.real - centre)).max() >= radius * (1 - 1e-12)
            # Powers of a root at the centre: the corners have the largest values.
            exact = (2 * radius / np.cos(np.pi / 64)) ** roots
            bound = polygon.bound(np.poly1d([1, -2 * centre]) ** roots, roots, 2.0)
            assert exact <= bound <= exact * 1.0004
    assert disc(0.0, 0.0).holds_zero
    assert polygon.bound(lambda z: z * np.nan, 1, 1.0) == math.inf


def test_between_the_points_of_an_edge_polynomials_are_hardly_larger() -> None:
    """Chebyshev's polynomial of 5 roots on the long edge of a slit has its largest value 1 at both ends."""
    polygon = RangePolygon(np.abs(np.cos(ANGLES)) + 1e-9)
    points = polygon.points(5)
    between = np.sort(points[np.abs(points.imag) < 1e-6].real)
    # The distance of the nodes in cos(t) is pi / 320.
    assert np.diff(np.arccos(np.clip(between, -1, 1))).min() >= -np.pi / 320 * 1.01
    assert np.abs(np.diff(np.arccos(np.clip(between, -1, 1)))).max() <= np.pi / 320 * 1.01


def test_inverses_and_radii_of_stacks(rng: np.random.Generator) -> None:
    stack = complex_normal(rng, 3, 4, 4)
    stack[1, 3] = stack[1, 0]
    inverse, singular = _pseudo_inverse(stack, 1e-10)
    np.testing.assert_allclose(inverse, np.linalg.pinv(stack, rcond=1e-11), atol=1e-10)
    assert singular.tolist() == [0, 1, 0]
    zero, singular = _pseudo_inverse(np.zeros((1, 2, 2), dtype=complex), 0.0)
    assert (np.abs(zero).max(), singular.tolist()) == (0, [2])
    radii, norms = _radii_and_norms(stack)
    np.testing.assert_allclose(radii, np.abs(np.linalg.eigvals(stack)).max(axis=1), rtol=1e-12)
    np.testing.assert_allclose(norms, np.linalg.norm(stack, 2, axis=(1, 2)), rtol=1e-12)
    stack[2, 0, 1] = np.inf
    radii, norms = _radii_and_norms(stack)
    assert [np.isfinite(numbers).tolist() for numbers in (radii, norms)] == [[True, True, False]] * 2


def test_modulo_a_null_space_the_other_eigenvalues_stay(rng: np.random.Generator) -> None:
    """A null vector v of one of four blocks with T v = v: the eigenvalue 1 goes, the others stay."""
    A = complex_normal(rng, 4, 2, 2)
    A[2] = np.outer(A[2, :, 0], [1.0, 2.0])
    v = np.zeros(8, dtype=complex)
    v[4:6] = np.array([2.0, -1.0]) / math.sqrt(5)
    M = complex_normal(rng, 8, 8)
    T = M - np.outer(M @ v - v, v)
    np.testing.assert_allclose(T @ v, v, atol=1e-12)
    reduced = _modulo_null_space(T, A, 1e-10)
    assert reduced.shape == (7, 7)
    every, others = np.linalg.eigvals(T), np.linalg.eigvals(reduced)
    rest = np.delete(every, np.abs(every - 1).argmin())
    assert matched_error(others, rest) < 1e-9
    assert _modulo_null_space(M, complex_normal(rng, 4, 2, 2), 1e-10).shape == (8, 8)


def test_the_power_method_ranks_frequencies(rng: np.random.Generator) -> None:
    """Estimates are below the norms and reach them; the frequency of the largest norm is the first one."""
    norms = SymbolNorms(pr.Convolution.of(rng.standard_normal((3, 3, 3, 3)), (6, 7)))
    factors: list[Factor] = [Linear(2.0), ComplexPair(1.0, 2.0)]
    every = np.arange(len(norms.blocks.ky))
    A, one = norms.blocks.stack(every), np.eye(3)
    first = one - A / 2
    both = first @ (one - (2 * A - A @ A) / 5)
    for counts, matrices in (([1], [first]), ([2], [both]), ([1, 2], [first, both])):
        exact = np.max([np.linalg.norm(matrix, 2, axis=(1, 2)) for matrix in matrices], axis=0)
        few, many = (norms._estimates(factors, counts, A.astype(np.complex64), steps) for steps in (1, 60))
        rounding = 1 + 16 * np.finfo(np.float32).eps
        assert (few <= exact * rounding).all()
        assert (few <= many * rounding).all()
        np.testing.assert_allclose(many, exact, rtol=2e-2)
        fresh = SymbolNorms(norms.blocks.operator)
        best = fresh.most_amplified(factors, counts)
        assert best.tolist() == np.argsort(-exact)[: len(best)].tolist()
        assert len(best) == 2
    assert _largest_first(np.array([1.0, np.nan, 3.0, 3.0, np.inf, 2.0])).tolist() == [1, 4, 2, 3, 5, 0]


def test_a_diagnosis_says_how_much_is_known(rng: np.random.Generator) -> None:
    q = pr.ResidualPolynomial([1.5, 3.0])
    known = q.diagnose([1.0, 2.0, 2.5])
    largest = max(abs((1 - t / 1.5) * (1 - t / 3)) for t in (1, 2, 2.5))
    assert repr(known) == f"Diagnosis(2 roots, max|q| {largest:.4g} on 3 eigenvalues)"
    assert repr(replace(known, max_abs=None)) == "Diagnosis(2 roots, max|q| unknown on 3 eigenvalues)"
    assert repr(replace(known, ritz_values=True)).endswith("on 3 Ritz values)")
    unknown = replace(known, max_abs=None, norm=0.25)
    assert "The 3 eigenvalues were not computed; one step multiplies a residual by 0.25 at most." in unknown.sentences()
    assert "The 3 eigenvalues were not computed." in replace(unknown, norm=None).sentences()
    for copies, words in ((1, "1 extra copy of"), (2, "2 extra copies of")):
        assert words in " ".join(replace(known, copies=copies, prominence=6.4).sentences())
    assert "extra cop" not in " ".join(known.sentences())


def test_values_next_to_one_have_their_distance_from_it() -> None:
    found = pr.ResidualPolynomial([1.5]).diagnose([1.0, 2.0])
    for largest, words in ((0.9999, "at most 0.9999,"), (0.99998, "at most 1 - 2e-05,"), (0.25, "at most 0.25,")):
        assert words in replace(found, max_abs=largest).sentences()[0]


def test_errors_of_squares_are_twice_as_large_relatively() -> None:
    """|z|^2 e + ... : the first-order error 2 |z| e of z^2, and the rounding of the square."""
    target = Target.of([1.0, 2.0, 3 + 1j, 3 - 1j])
    squares = target.squared()
    unit, radius = 2.0, math.sqrt(10)
    np.testing.assert_allclose(squares.points, (np.array([1, 2, 3 + 1j]) / unit) ** 2, rtol=1e-15)
    sizes = np.array([1, 2, radius]) / unit
    np.testing.assert_allclose(squares.errors, 1e-13 * (2 * sizes * radius / unit + sizes**2), rtol=1e-9)
    assert squares.radius == pytest.approx(10 / 4, rel=1e-15)
    np.testing.assert_allclose(squares.weights, target.weights, rtol=1e-15)


def test_proofs_that_are_far_below_the_value_say_so() -> None:
    """The share is 0.99; a value not told from 1 is no use whatever is proven."""
    found = Certificates("", None, 0.5, 0.49545)
    (strong,) = found.sentences(3)
    assert strong == "The ideal polynomial with 3 roots reaches 0.5, and none gets below 0.4954 (proven)."
    (weak,) = replace(found, ideal_bound=0.49015).sentences(3)
    assert "that none gets below 0.4901 is all that can be proven" in weak
    (useless,) = replace(found, ideal=1.0, ideal_bound=0.9999).sentences(3)
    assert useless == "No polynomial with 3 roots gets it below 0.9999 (proven)."
    (norm,) = replace(found, norm=0.75, where=" there").sentences(1)
    assert norm.startswith("The norm of q(A) there is 0.75: the ideal polynomial with 1 root reaches 0.5, and none")
    ranged = Certificates("", 0.75, range_max=0.5, range_bound=1.25, range_holds_zero=True).sentences(1)
    assert ranged[0].startswith("Over the numerical range |q| is at most 0.5000, so the norm of q(A) is at most 1.250,")
    assert ranged[0].endswith("; it is 0.75.")
    assert ranged[1].startswith("0 lies in the numerical range")


def test_norms_of_large_matrices_have_the_vector_that_is_amplified(rng: np.random.Generator) -> None:
    n = 40
    A = rng.standard_normal((n, n)) / 8 + 2 * np.eye(n)
    factors: list[Factor] = [Linear(2.0), ComplexPair(2.0, 0.5)]
    Q = (np.eye(n) - A / 2) @ (np.eye(n) - (4 * A - A @ A) / 4.25)
    for matrix, expected in ((A, Q), (A.astype(np.complex128), Q)):
        norm, u = _norm_by_products(aslinearoperator(matrix), factors)
        assert norm == pytest.approx(np.linalg.norm(expected, 2), rel=1e-10)
        assert np.linalg.norm(u) == pytest.approx(1, rel=1e-12)
        assert np.linalg.norm(expected @ u) == pytest.approx(norm, rel=1e-9)
    for size, infinite in ((1e-150, False), (1e-160, True)):
        norm, u = _norm_by_products(aslinearoperator(np.eye(4)), [Linear(size)])
        assert math.isinf(norm) is infinite
        assert np.linalg.norm(u) == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("padding", ["circular", "zeros"])
def test_norms_on_blocks_are_those_of_the_dense_operator(padding: str, rng: np.random.Generator) -> None:
    K = 3 * rng.standard_normal((2, 2, 3, 3))
    operator = pr.Convolution.of(K, (3, 4), padding=padding)
    blocks, q, A = (
        OperatorBlocks(operator),
        pr.ResidualPolynomial([4, 5, -9]),
        dense_operator(K, (3, 4), padding=padding),
    )
    Q = np.eye(24)
    for root in q.roots.real:
        Q = Q @ (np.eye(24) - A / root)
    assert norm_on_blocks(blocks, q, blocks.scale) == pytest.approx(np.linalg.norm(Q, 2), rel=1e-10)
    squares = norm_on_blocks(blocks.squared(), q, blocks.scale**2)
    Q = np.eye(24)
    for root in q.roots.real:
        Q = Q @ (np.eye(24) - A @ A / root)
    assert squares == pytest.approx(np.linalg.norm(Q, 2), rel=1e-10)


def test_both_roots_of_a_pair_have_as_many_copies() -> None:
    q = pr.ResidualPolynomial([0.1, 0.11 + 0.01j, 0.11 - 0.01j, 0.12 + 0.02j, 0.12 - 0.02j, 50 + 50j, 50 - 50j])
    more = q.with_extra_copies().roots.tolist()
    scores = {root: sum(math.log10(abs(1 - root / other)) for other in q.roots if other != root) for root in q.roots}
    assert max(scores.values()) > 4
    for root, score in scores.items():
        copies = max(0, math.ceil((score - 4) / 14))
        assert more.count(root) == 1 + copies
        assert more.count(root) == more.count(root.conjugate())


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_tolerances_are_relative_to_what_they_are_of(scale: float) -> None:
    """Pairs up to 1e-12 of their modulus, leading coordinates up to 1e-6 of the norm, new directions up to 1e-12."""
    near, far = scale * (1 + 5e-13), scale * (1 + 2e-12)
    assert factor_of_block("S", [scale, -near]) == SymmetricPair(scale)
    assert factor_of_block("L", [complex(scale, scale * 5e-13)]) == Linear(scale)
    assert factor_of_block("C", [complex(scale, scale * 5e-13), complex(scale, -scale * 5e-13)]) == RealPair(
        scale, scale
    )
    pair = factor_of_block("C", [complex(scale, scale), complex(scale, -near)])
    assert pair == ComplexPair(scale, scale)
    for letter, roots, words in (
        ("S", [scale, -far], "two roots of opposite sign"),
        ("L", [complex(scale, scale * 2e-12)], "needs real roots"),
        ("S", [complex(scale, scale * 2e-12), -scale], "needs real roots"),
        ("C", [complex(scale, scale), complex(scale, -scale * (1 + 4e-12))], "a conjugate pair of roots or two real"),
        ("R", [complex(scale, scale * 2e-12), scale], "a conjugate pair of roots or two real"),
    ):
        with pytest.raises(pr.InputError, match=words):
            factor_of_block(letter, roots)
    krylov = arnoldi(lambda x: scale * np.array([1.0, 2.0, 4.0]) * x, np.ones(3), 2)
    for share, degree in ((5e-7, 1), (2e-6, 2)):
        assert krylov.degree(scale * np.array([0.6, 0.8, share])) == degree
    for step, is_invariant in ((1e-13, True), (1e-11, False)):
        matrix = scale * np.array([[1.0, 0.0], [step, 2.0]])
        assert arnoldi(matrix.__matmul__, np.array([1.0, 0.0]), 1).is_invariant is is_invariant
