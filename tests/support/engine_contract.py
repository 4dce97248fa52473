"""What any index engine has to do: `check_engine` runs all of it over one.

FAISS passes it in `test_engine_contract.py`, Milvus in `test_milvus.py`.
"""

import numpy as np
import pytest

from indexes.catalog.filters.conditions import AllOf, AnyOf, Exists, FieldCondition, Not, OneOf
from indexes.errors import InputError
from indexes.neighbors import COSINE, DOT, EUCLIDEAN, NO_KEY
from indexes.vectors import exact
from indexes.vectors.approximate import search
from indexes.vectors.blocks import Block

DIM, ROWS = 16, 400
NONE = np.empty(0, np.int64)
CONTENT = 7


def blocks_of(similarity=COSINE, rows=ROWS):
    """Vectors in clusters, under odd keys from 101 on, in two blocks."""
    random = np.random.default_rng(7)
    centers = np.repeat(random.standard_normal((20, DIM)), rows // 20, axis=0)
    vectors = (centers + 0.4 * random.standard_normal((rows, DIM))).astype(np.float32)
    if similarity == COSINE:
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    keys = np.arange(101, 101 + 2 * rows, 2)
    half = rows // 3
    parts = (slice(half), slice(half, None))
    return [Block(keys[part], vectors[part], similarity) for part in parts]


def near(blocks):
    """Queries near every twentieth vector."""
    vectors = np.concatenate([block.vectors for block in blocks])[::20]
    return vectors + np.float32(0.01)


def recall(index, blocks, queries, k=10, hidden=NONE):
    """Share of the true neighbors that an engine's candidates hold, scored exactly."""
    found = search(index, queries, k, blocks, index.mask(hidden))
    true = exact.search(queries, blocks, k, hidden)
    return np.mean(
        [np.isin(one, other).mean() for one, other in zip(true.keys, found.keys, strict=True)]
    )


class Described:
    """Metadata of keys, at the state `CONTENT`."""

    content = CONTENT

    def digests(self, keys):
        return keys % 5

    def metadata(self, keys):
        return map(metadata_of, keys.tolist())


def metadata_of(key):
    place = {"x.y": {"é": key % 7 - 3}}
    tags = [f"t{key % 3}", 'a "quoted" \\', key % 4]
    return {"n": key / 2, "tags": tags, "in": place, **({"rare": None} if key % 35 == 0 else {})}


FILTERS = (
    (FieldCondition(("n",), ">", 200), lambda key: key > 400),
    (FieldCondition(("tags",), "=", "t1"), lambda key: key % 3 == 1),
    (OneOf(("tags",), ("t0", 1)), lambda key: key % 3 == 0 or key % 4 == 1),
    (FieldCondition(("tags",), "!=", 3), lambda key: key % 4 != 3),
    (FieldCondition(("in", "x.y", "é"), "<=", -1.5), lambda key: key % 7 in (0, 1)),
    (Not(Exists(("rare",))), lambda key: key % 35),
    (
        AnyOf((FieldCondition(("rare",), "=", None), OneOf(("n",), (60.5,)))),
        lambda key: key % 35 == 0 or key == 121,
    ),
    (AllOf((FieldCondition(("tags",), ">=", "t2"), Exists(("in",)))), lambda key: key % 3 == 2),
    (FieldCondition(("tags",), "=", 'a "quoted" \\'), lambda key: True),
    (AllOf(()), lambda key: True),
    (FieldCondition(("n",), "=", "121"), lambda key: False),
)  # fmt: skip


def check_engine(engine, definition, folder, least=0.9, *, pushes=False):
    """Run the contract of an engine over a definition.

    `least` is the recall that it must reach; `pushes` says that it evaluates filters itself.
    """
    engine.check(definition, DIM)
    for similarity in (COSINE, DOT, EUCLIDEAN):
        blocks = blocks_of(similarity)
        index = engine.build(definition, DIM, blocks, NONE)
        queries = near(blocks)
        check_finds(index, blocks, queries, least)
        if similarity == COSINE:
            check_input(index, queries)
            check_masks(index, blocks, queries, least)
            check_efforts(engine, definition, index, blocks, queries, least)
            check_file(engine, definition, index, folder, queries)
    check_deleted(engine, definition, least)
    check_equal_vectors(engine, definition)
    check_filters(engine, definition, least, pushes=pushes)


def check_finds(index, blocks, queries, least):
    keys = np.concatenate([block.keys for block in blocks])
    assert index.rows == ROWS
    assert np.array_equal(np.sort(index.keys), keys)
    assert set(index.heads) <= set(keys)
    assert recall(index, blocks, queries) >= least
    # Candidates come best first, and are its own keys.
    found = index.search(queries, 5)
    assert np.isin(found.keys[found.keys != NO_KEY], keys).all()
    assert (np.diff(found.scores, axis=1)[:, : found.keys.shape[1] - 1] <= 1e-6).all()
    # More than there are: no key is invented, none comes twice.
    for row in index.search(queries[:2], ROWS + 50).keys:
        row = row[row != NO_KEY]
        assert len(np.unique(row)) == len(row) <= ROWS


def check_input(index, queries):
    zeros = index.search(np.zeros((2, DIM), np.float32), 3)
    assert (zeros.keys == NO_KEY).all()
    mixed = np.stack([queries[0], np.zeros(DIM, np.float32), queries[1]])
    found = index.search(mixed, 3).keys
    assert (found[1] == NO_KEY).all()
    assert (found[[0, 2]] != NO_KEY).all()
    assert index.search(queries[:0], 3).keys.shape[0] == 0
    for wrong in (0, -1, 1.5):
        with pytest.raises(InputError):
            index.search(queries, wrong)


def check_masks(index, blocks, queries, least):
    keys = np.concatenate([block.keys for block in blocks])
    assert index.mask(NONE) is None
    assert index.mask(np.array([2, 4])) is None  # none of its keys
    for hidden in (keys[::2], keys[:3], np.setdiff1d(keys, keys[::40])):
        mask = index.mask(hidden)
        assert mask.visible.sum() == len(keys) - len(hidden)
        if index.supports_filter(mask):
            found = index.search(queries, 10, mask).keys
            assert not np.isin(found, hidden).any()
            assert recall(index, blocks, queries, 5, hidden) >= least
    nothing = index.mask(keys)
    assert nothing.share == 0
    assert (index.search(queries, 3, nothing).keys == NO_KEY).all()


def check_efforts(engine, definition, index, blocks, queries, least):
    rows = index.efforts()
    assert rows
    assert len({len(row) for row in rows}) == 1
    most = index.using(rows[-1][-1])
    assert recall(most, blocks, queries) >= least
    assert index.cost(rows[0][0]) <= index.cost(rows[-1][-1])
    for k in (1, 100):
        assert all(value > 0 for value in engine.parameters(definition, DIM, k).values())


def check_file(engine, definition, index, folder, queries):
    path = folder / f"index-1{engine.suffix}"
    with path.open("wb") as file:
        index.write(file.write)
    again = engine.load(path, definition, DIM)
    assert np.array_equal(again.keys, index.keys)
    assert again.rows == index.rows
    assert np.array_equal(again.search(queries, 5).keys, index.search(queries, 5).keys)


def check_deleted(engine, definition, least):
    blocks = blocks_of()
    deleted = blocks[0].keys[::3]
    index = engine.build(definition, DIM, blocks, deleted)
    assert index.rows == ROWS - len(deleted)
    found = index.search(near(blocks), 10).keys
    assert not np.isin(found, deleted).any()
    left = [
        Block(b.keys[~np.isin(b.keys, deleted)], b.vectors[~np.isin(b.keys, deleted)])
        for b in blocks
    ]
    assert recall(index, left, near(blocks)) >= least


def check_equal_vectors(engine, definition):
    """Of many equal vectors, the lowest keys are found; and others beside them."""
    blocks = blocks_of()
    vectors = np.array(blocks[1].vectors)
    vectors[10:40] = vectors[10]
    equal = Block(blocks[1].keys, vectors)
    index = engine.build(definition, DIM, [blocks[0], equal], NONE)
    found = search(index, vectors[10:11], 30, [blocks[0], equal], None)
    assert found.keys[0].tolist() == equal.keys[10:40].tolist()


def check_filters(engine, definition, least, *, pushes):
    """A filter that is evaluated there leaves what the same filter as a list of keys leaves."""
    blocks = blocks_of()
    keys = np.concatenate([block.keys for block in blocks])
    index = engine.build(definition, DIM, blocks, NONE, described=Described())
    plain = engine.build(definition, DIM, blocks, NONE)
    for where, passes in FILTERS:
        passing = np.array([bool(passes(key)) for key in keys.tolist()])
        pushed = index.pushed(where, CONTENT, None)
        assert (pushed is not None) == pushes
        # Not for another state of the documents, nor where it was not given their metadata.
        assert index.pushed(where, CONTENT + 1, None) is None
        assert plain.pushed(where, CONTENT, None) is None
        check_filter(index, blocks, keys[~passing], pushed or index.mask(keys[~passing]), least)
        hidden = index.mask(keys[::4])
        if pushes and index.supports_filter(hidden):
            left = np.union1d(keys[~passing], keys[::4])
            check_filter(index, blocks, left, index.pushed(where, CONTENT, hidden), least)


def check_filter(index, blocks, hidden, mask, least):
    queries = near(blocks)
    if mask is not None and index.supports_filter(mask):
        found = index.search(queries, 10, mask).keys
        assert not np.isin(found, hidden).any()
        true = exact.search(queries, blocks, 5, hidden).keys
        mine = search(index, queries, 5, blocks, mask).keys
        pairs = zip(true, mine, strict=True)
        hits = [np.isin(one[one != NO_KEY], other).sum() for one, other in pairs]
        assert sum(hits) >= least * (true != NO_KEY).sum()
