"""Principal component analysis in two dimensions, and the rotation of one plane onto another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexes.neighbors import Matrix

# Coordinates (n, 2).
Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Plane:
    """The plane through `center` (dim,) along `axes` (dim, 2), which keeps the `share` of variance.

    An axis along which nothing varies is zero.
    """

    center: NDArray[np.float64]
    axes: NDArray[np.float64]
    share: float

    def project(self, vectors: Matrix) -> Points:
        """Return the coordinates of vectors (n, dim)."""
        projected: Points = (np.asarray(vectors, np.float64) - self.center) @ self.axes
        return projected


def principal_plane(vectors: Matrix) -> Plane:
    """Return the plane along which vectors (n, dim) vary most; see Jolliffe 2002, "PCA", chapter 1.

    Of an axis and its opposite, the one is taken whose largest component is positive.
    """
    center = np.asarray(vectors, np.float64).mean(axis=0)
    rows = vectors - center
    # The eigenvectors of the smaller of the two products give those of the other.
    wide = rows.shape[1] > rows.shape[0]
    products = rows @ rows.T if wide else rows.T @ rows
    values, found = np.linalg.eigh(products)
    values, found = values[:-3:-1], found[:, :-3:-1]  # the largest two, the largest first
    found = rows.T @ found if wide else found
    total = float(np.trace(products))
    kept = values > 1e-12 * max(total, 1e-300)
    axes = np.zeros((rows.shape[1], 2))
    axes[:, : len(kept)] = np.where(kept, found / np.maximum(_lengths(found), 1e-300), 0.0)
    largest = axes[np.argmax(np.abs(axes), axis=0), [0, 1]]
    axes *= np.where(largest < 0, -1.0, 1.0)
    share = float(values[kept].sum() / total) if total > 0 else 1.0
    return Plane(center, axes, share)


def _lengths(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths: NDArray[np.float64] = np.sqrt((columns**2).sum(axis=0))
    return lengths


def rotation_onto(points: Points, others: Points) -> NDArray[np.float64]:
    """Return the rotation, with a reflection if need be, that brings points nearest to others.

    The orthogonal matrix (2, 2) to multiply `points` (n, 2) by from the right, for the least sum
    of squares between points of equal place, both about their means: Schönemann 1966, "A
    Generalized Solution of the Orthogonal Procrustes Problem".
    """
    if not len(points):
        return np.eye(2)
    one, other = points - points.mean(axis=0), others - others.mean(axis=0)
    left, _, right = np.linalg.svd(one.T @ other)
    rotation: NDArray[np.float64] = left @ right
    return rotation
