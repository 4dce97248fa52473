"""How many senses a word has, by its vectors in context, and which occurrence has which.

Ward's hierarchical clustering of unit vectors, cut where the average silhouette
(Rousseeuw 1987, "Silhouettes: a graphical aid to the interpretation and validation of cluster
analysis") is best. A silhouette says nothing of one sense: so one it is, unless the best silhouette
is better than nearly all of those that a single cloud gives, a Gaussian with the same variances
along the same axes (the null hypothesis of Liu, Hayes, Nobel and Marron 2008, "Statistical
Significance of Clustering for High-Dimension, Low-Sample Size Data").
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retriever.embedders.base import Matrix, unit

# So many senses are looked for, and none of fewer uses.
MOST, FEWEST_USES = 6, 3
# Principal components that are looked at: beyond, there is little but noise, in which all
# occurrences are equally far from each other.
COMPONENTS, DECIMALS = 10, 6
# The number of senses is told by so many occurrences, evenly spread.
SAMPLE = 250
# One cloud is drawn so often; its best silhouettes may reach that of the word in 5 % of all draws,
# counting the word's own.
DRAWS, LEVEL = 39, 0.05
# Fewer senses are as good as more, where their silhouette is so close to the best.
CLOSE = 0.9

Labels = NDArray[np.intp]
Points = NDArray[np.float64]


@dataclass(frozen=True)
class Clusters:
    """The cluster of each row, from 0, the largest first; how well they stand apart, up to 1."""

    labels: Labels
    silhouette: float | None

    @property
    def count(self) -> int:
        """How many clusters there are."""
        return int(self.labels.max(initial=-1)) + 1


def clustered(vectors: Matrix, wanted: int | None = None) -> Clusters:
    """The rows of `vectors` (n, dim) in clusters: as many as there are, or as are `wanted`.

    Fewer than wanted where there are fewer different rows. The same rows always give the same.
    """
    points = _points(vectors)
    if wanted is None:
        step = np.arange(min(len(points), SAMPLE)) * len(points) // max(1, min(len(points), SAMPLE))
        wanted = _how_many(points[step])
    if wanted == 1 or len(points) < 2 or not points.any():
        return Clusters(np.zeros(len(points), np.intp), None)
    labels = _cut(_tree(points), wanted)
    if labels.max() == 0:
        return Clusters(labels, None)
    return Clusters(labels, silhouette(_distances(points), labels))


def silhouette(distances: Points, labels: Labels) -> float:
    """The mean silhouette of points by their distances (n, n) and clusters, numbered from 0.

    (b - a) / max(a, b) of a point, a its mean distance to the others of its cluster, b that to the
    points of the nearest other cluster; 0 for a cluster's only point, and where both are 0.
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
    """Unit vectors, centred, by their first principal components.

    They are not scaled again: that would pull one long cloud apart into two.
    """
    if not len(vectors):
        return np.zeros((0, 1))
    units = unit(vectors).astype(np.float64)
    left, lengths, _ = np.linalg.svd(units - units.mean(axis=0), full_matrices=False)
    # Equal rows are equal points, whatever rounding made of them.
    points: Points = np.round((left * lengths)[:, :COMPONENTS], DECIMALS)
    return points


def _how_many(points: Points) -> int:
    """How many clusters stand apart more clearly than those of a single cloud."""
    found = dict(_silhouettes(points))
    if not found:
        return 1
    best = max(found.values())
    generator = np.random.default_rng(0)
    widths = points.std(axis=0)
    as_good = 0
    for _ in range(DRAWS):
        cloud = generator.normal(size=points.shape) * widths
        as_good += max((value for _, value in _silhouettes(cloud)), default=-1.0) >= best
        if (1 + as_good) / (1 + DRAWS) > LEVEL:
            return 1
    return min(count for count, value in found.items() if value >= CLOSE * best)


def _silhouettes(points: Points) -> Iterator[tuple[int, float]]:
    """Numbers of clusters that may be, and the mean silhouette of each."""
    if len(points) < 2 * FEWEST_USES or not points.any():
        return
    distances, tree = _distances(points), _tree(points)
    for count in range(2, MOST + 1):
        labels = _cut(tree, count)
        if labels.max() == count - 1 and np.bincount(labels).min() >= FEWEST_USES:
            yield count, silhouette(distances, labels)


def _tree(points: Points) -> Points:
    from scipy.cluster.hierarchy import linkage

    tree: Points = linkage(points, "ward")
    return tree


def _distances(points: Points) -> Points:
    from scipy.spatial.distance import pdist, squareform

    distances: Points = squareform(pdist(points))
    return distances


def _cut(tree: Points, count: int) -> Labels:
    """The clusters of a tree cut into `count`, numbered by size, then by their first row."""
    from scipy.cluster.hierarchy import fcluster

    found = fcluster(tree, count, "maxclust")
    names, first, sizes = np.unique(found, return_index=True, return_counts=True)
    order = np.lexsort((first, -sizes))
    numbers = np.empty(len(names), np.intp)
    numbers[order] = np.arange(len(names))
    labels: Labels = numbers[np.searchsorted(names, found)]
    return labels
