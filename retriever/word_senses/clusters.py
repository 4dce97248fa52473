"""Clusters of a word's vectors in context, one per sense.

Ward's hierarchical clustering of unit vectors, cut at the best mean silhouette (Rousseeuw 1987,
"Silhouettes: a graphical aid to the interpretation and validation of cluster analysis"). The
silhouette is undefined for one cluster. So there is one cluster unless the best silhouette is
significantly better than those of samples from one Gaussian with the same variances along the same
axes (the null hypothesis of Liu, Hayes, Nobel and Marron 2008, "Statistical Significance of
Clustering for High-Dimension, Low-Sample Size Data").
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retriever.embedders.base import Matrix, unit
from retriever.word_senses.occurrences import evenly

# The most senses to look for, and the fewest uses of one.
MOST, FEWEST_USES = 6, 3
# Principal components to keep: the others are mostly noise, which makes all distances equal.
COMPONENTS, DECIMALS = 10, 6
# The number of senses is estimated on at most this many occurrences, evenly spread.
SAMPLE = 250
# Draws from one Gaussian, and the significance level: the largest share of draws, counting the word
# itself, with a best silhouette of at least the word's.
DRAWS, LEVEL = 39, 0.05
# The smallest number of senses with at least this share of the best silhouette is chosen.
CLOSE = 0.9

Labels = NDArray[np.intp]
Points = NDArray[np.float64]


@dataclass(frozen=True)
class Clusters:
    """The cluster of each row, numbered from 0, the largest first, and the mean silhouette."""

    labels: Labels
    silhouette: float | None

    @property
    def count(self) -> int:
        """Number of clusters."""
        return int(self.labels.max(initial=-1)) + 1


def cluster_vectors(vectors: Matrix, wanted: int | None = None) -> Clusters:
    """Cluster the rows of `vectors` (n, dim) into `wanted` clusters, or estimate the number.

    There are fewer than `wanted` if there are fewer distinct rows. The result is deterministic.
    """
    points = _points(vectors)
    if wanted is None:
        wanted = _estimated_count(points[evenly(len(points), SAMPLE)])
    if wanted == 1 or len(points) < 2 or not points.any():
        return Clusters(np.zeros(len(points), np.intp), None)
    labels = _cut(_tree(points), wanted)
    return Clusters(labels, silhouette(_distances(points), labels) if labels.max() else None)


def silhouette(distances: Points, labels: Labels) -> float:
    """Return the mean silhouette by the distances (n, n) and cluster labels, numbered from 0.

    A point's silhouette is (b - a) / max(a, b), where a is its mean distance to the other points of
    its cluster and b to those of the nearest other cluster; 0 for the only point of a cluster, and
    if both are 0.
    """
    rows = np.arange(len(labels))
    members = np.eye(labels.max() + 1)[labels]
    counts = members.sum(axis=0)
    sums = distances @ members
    own = counts[labels]
    near = sums[rows, labels] / np.maximum(own - 1, 1)
    sums[rows, labels] = np.inf
    far = (sums / counts).min(axis=1)
    larger = np.maximum(near, far)
    valid = (own > 1) & (larger > 0)
    return float(np.mean(np.where(valid, (far - near) / np.where(valid, larger, 1.0), 0.0)))


def _points(vectors: Matrix) -> Points:
    """Project unit vectors on their first principal components, centered but not whitened."""
    if not len(vectors):
        return np.zeros((0, 1))
    units = unit(vectors).astype(np.float64)
    left, lengths, _ = np.linalg.svd(units - units.mean(axis=0), full_matrices=False)
    # Whitening would split an elongated cluster. Rounded, so that equal rows are equal points.
    return np.asarray(np.round((left * lengths)[:, :COMPONENTS], DECIMALS), np.float64)


def _estimated_count(points: Points) -> int:
    """Return the number of clusters, 1 unless they are significant."""
    found = dict(_silhouettes(points))
    if not found:
        return 1
    best = max(found.values())
    generator = np.random.default_rng(0)
    widths = points.std(axis=0)
    as_good = 0
    for _ in range(DRAWS):
        sample = generator.normal(size=points.shape) * widths
        as_good += max((value for _, value in _silhouettes(sample)), default=-1.0) >= best
        if (1 + as_good) / (1 + DRAWS) > LEVEL:
            return 1
    return min(count for count, value in found.items() if value >= CLOSE * best)


def _silhouettes(points: Points) -> Iterator[tuple[int, float]]:
    """Yield the possible numbers of clusters with their mean silhouettes."""
    if len(points) < 2 * FEWEST_USES or not points.any():
        return
    distances, tree = _distances(points), _tree(points)
    for count in range(2, MOST + 1):
        labels = _cut(tree, count)
        if labels.max() == count - 1 and np.bincount(labels).min() >= FEWEST_USES:
            yield count, silhouette(distances, labels)


def _tree(points: Points) -> Points:
    from scipy.cluster.hierarchy import linkage

    return np.asarray(linkage(points, "ward"), np.float64)


def _distances(points: Points) -> Points:
    from scipy.spatial.distance import pdist, squareform

    return np.asarray(squareform(pdist(points)), np.float64)


def _cut(tree: Points, count: int) -> Labels:
    """Cut a tree into `count` clusters, numbered by descending size, then by their first row."""
    from scipy.cluster.hierarchy import fcluster

    found = fcluster(tree, count, "maxclust")
    names, first, sizes = np.unique(found, return_index=True, return_counts=True)
    order = np.lexsort((first, -sizes))
    numbers = np.empty(len(names), np.intp)
    numbers[order] = np.arange(len(names))
    return np.asarray(numbers[np.searchsorted(names, found)], np.intp)
