"""Vectors that were made elsewhere: what is refused, and what an index of them can do."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from indexes.errors import InputError, MismatchError
from retriever import Collection, Document, HashingEmbedder, Words
from tests.support.toy import COMPASS, Axes, ids, pairs, refused

IDS = ["n", "e", "all", "u", "fog"]
ROWS = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 1], [0, 0, 1], [1, 0, 1]], np.float32)


@pytest.fixture
def plain(tmp_path):
    """The compass without an index."""
    with Collection.create(tmp_path / "plain") as collection:
        collection.add(COMPASS)
        yield collection


@pytest.fixture
def imported(plain):
    """The compass with an index `x` of imported vectors."""
    plain.build("x", from_vectors=(IDS, ROWS))
    return plain


@pytest.mark.parametrize(
    ("names", "rows", "message"),
    [
        ([*IDS[:3], "q", "r"], ROWS, "^2 ids in the given vectors, of no passage of .*: 'q', 'r'."),
        ([*IDS[:4], "u"], ROWS, "^1 id occurs more than once in the given vectors: 'u'."),
        (IDS[:3], ROWS[:3], "^2 passages of .* without a vector in the given vectors: 'u', 'fog'."),
        (
            IDS,
            np.add(ROWS, [[0], [0], [np.nan], [np.inf], [0]]),
            "^2 vectors hold a value that is not f",
        ),
        (IDS, ROWS * [[1], [0], [0], [0], [0]], "^4 vectors are zero .*: 'e', 'all', 'u' and 1 m"),
        (IDS[:4], ROWS, "^The pair has 4 ids, and its array 5 vectors"),
        (IDS, ROWS[0], "^The pair has 5 ids, and its array 1 vector"),
        (IDS, [["a"]] * 5, "^The pair holds .*; expected numbers"),
        (
            IDS,
            [[1], [1, 2], [3], [4], [5]],
            "^The vectors of the pair are no rows of numbers of one",
        ),
    ],
)
def test_vectors_that_do_not_fit_the_documents_are_refused_with_their_number(
    plain, names, rows, message
):
    refused(InputError, message, plain.build, "x", from_vectors=(names, rows))
    assert plain.index_names() == []


def test_rows_of_several_widths_are_refused_with_their_number(plain, tmp_path):
    table = pa.table({"doc_id": IDS, "vector": [[1.0, 2.0], [1.0], [1.0, 2.0], [1.0], [1.0]]})
    pq.write_table(table, tmp_path / "v.parquet")
    refused(
        InputError,
        "3 vectors are not 2 wide",
        plain.build,
        "x",
        from_vectors=tmp_path / "v.parquet",
    )


def test_options_of_another_kind_of_index_are_refused(plain):
    source = {"from_vectors": (IDS, ROWS)}
    for other in ({"lexical": True}, {"embedder": Axes()}, {"vectors": "y"}, {"k1": 1.0}):
        refused(InputError, "takes no embedder", plain.build, "x", **source, **other)
    refused(InputError, "takes no embedder", plain.build, "x", **source, refit=True)
    refused(InputError, "expected one of: cosine", plain.build, "x", **source, similarity="near")
    refused(InputError, "for imported vectors", plain.build, "x", Axes(), similarity="dot")
    refused(
        MismatchError, "5 wide .* 3 wide", plain.build, "x", **source, queries_by=HashingEmbedder(5)
    )


@pytest.mark.parametrize("form", ["npy", "npz", "parquet", "wide"])
def test_each_form_of_file_gives_the_same_index(plain, tmp_path, form):
    file = tmp_path / f"v.{'parquet' if form == 'wide' else form}"
    order = [3, 0, 4, 1, 2]
    names, rows = [IDS[n] for n in order], ROWS[order]
    if form == "npy":
        np.save(file, rows.astype(np.float64))
        (tmp_path / "v.ids.txt").write_text("".join(f"{name}\n" for name in names))
    elif form == "npz":
        np.savez(file, ids=np.array(names), vectors=rows)
    else:
        number = pa.float64() if form == "wide" else pa.float32()
        vectors = pa.array(rows.tolist(), pa.list_(number))
        pq.write_table(pa.table({"id": names, "embedding": vectors}), file)
    plain.build("x", from_vectors=file)
    plain.build("y", from_vectors=(IDS, ROWS))
    for row in ROWS:
        assert pairs(plain.search(vector=row, index="x")) == pairs(
            plain.search(vector=row, index="y")
        )


def test_a_text_is_refused_and_a_vector_answered(imported):
    refused(InputError, "search it by a vector .*--vector FILE", imported.search, "north")
    refused(InputError, "'x' were imported from the given", imported.embedder("x").refuse_documents)
    assert ids(imported.search(vector=[0, 2, 0], k=2)) == ["e", "all"]
    # Another structure over the same vectors.
    imported.build("graph", vectors="x", ann="HNSW8")
    assert ids(imported.search(vector=[0, 2, 0], k=2, index="graph")) == ["e", "all"]


def test_any_index_of_vectors_is_searched_by_vectors_without_its_model(compass):
    embedder = Axes()
    compass.build("graph", vectors="axes", ann="HNSW8")
    for query in ("north", "east up"):
        (vector,) = embedder.encode_queries([query])
        expected = pairs(compass.search(query, index="axes"))
        with Collection.open(compass.path) as other:  # which does not know the embedder
            assert pairs(other.search(vector=vector * 3, index="axes")) == expected
            (hits,) = other.search_vectors([vector], index="graph")
            assert pairs(hits) == expected


@pytest.mark.parametrize(
    ("vector", "index", "message"),
    [
        ([1, 0], "axes", "are 3 wide; the query vector is 2 wide"),
        ([0, 0, 0], "axes", "zero everywhere"),
        ([1, np.nan, 0], "axes", "not finite"),
        ([[1, 0, 0], [0, 1, 0]], "axes", "shape"),
        (["a"], "axes", "not a row of numbers"),
        ([1, 0, 0], "bm25", "no index of vectors"),
        ([1, 0, 0], "fusion", "no index of vectors"),
        ([1, 0, 0], None, "Say which index to search"),
    ],
)
def test_a_vector_that_fits_no_index_is_refused(compass, vector, index, message):
    compass.build("bm25", lexical=True)
    compass.fuse("fusion", ["axes", "bm25"])
    refused((InputError, MismatchError), message, compass.search, vector=vector, index=index)


def test_a_declared_embedder_encodes_the_queries_also_after_opening_again(plain):
    plain.add([Document("cat", "a cat sleeps")])
    embedder = HashingEmbedder(16)
    plain.build("own", embedder)
    vectors = embedder.encode_documents([document.text for document in plain.documents()])
    plain.build("x", from_vectors=([*IDS, "cat"], vectors), queries_by=embedder)
    plain.build("graph", vectors="x", ann="HNSW8")
    with Collection.open(plain.path) as again:
        for query in ("north", "cat up"):
            expected = pairs(again.search(query, index="own"))
            assert pairs(again.search(query, index="x")) == expected
            assert pairs(again.search(query, index="graph")) == expected
        assert again.index_info("x").queries_by == "hashing"


def test_documents_without_a_vector_are_missing_until_theirs_is_given(plain):
    plain.build("x", from_vectors=(IDS[:3], ROWS[:3]), allow_missing=True)
    assert plain.index_info("x").missing == 2
    refused(InputError, "give those of the documents that it lacks", plain.build, "x")
    (note,) = plain.search(vector=ROWS[3]).notes
    assert note.endswith("x --from-vectors FILE")
    report = plain.build("x", from_vectors=(IDS, -ROWS))
    assert report.embedded == 2
    assert report.notes[0].startswith("3 of the vectors in the given vectors are of passages that")
    # What it had stays; the others are the new ones.
    assert ids(plain.search(vector=[1, 0, 0], k=1)) == ["n"]
    assert ids(plain.search(vector=[0, 0, -1], k=1)) == ["u"]


def test_zeros_are_taken_as_nothing_to_embed_where_vectors_may_be_missing(plain):
    plain.build("x", from_vectors=(IDS, ROWS * [[1], [1], [1], [1], [0]]), allow_missing=True)
    info = plain.index_info("x")
    assert (info.rows, info.missing, info.unfindable) == (4, 0, 1)


def test_the_vector_of_an_edited_document_is_stale_until_a_new_one_is_given(imported):
    imported.add([Document("n", "north by night")])
    (hit,) = imported.search(vector=[1, 0, 0], k=1)
    assert (hit.doc_id, hit.stale, hit.text) == ("n", True, "north by night")
    imported.build("x", from_vectors=(["n"], [[0, 1, 0]]))
    assert [(hit.doc_id, hit.stale) for hit in imported.search(vector=[0, 1, 0], k=2)] == [
        ("e", False),
        ("n", False),
    ]


def test_vectors_of_passages_need_their_places(tmp_path):
    with Collection.create(tmp_path / "c", split=Words(1, overlap=0)) as collection:
        collection.add([Document("n", "north up"), Document("e", "east")])
        refused(
            InputError,
            "1 id in the given vectors, of documents with several passages: 'n'",
            collection.build,
            "x",
            from_vectors=(["n", "e"], ROWS[:2]),
        )
        names = ["e", "n\t6\t8", "n\t0\t5"]
        collection.build("x", from_vectors=(names, ROWS[[1, 3, 0]]))
        (hit,) = collection.search(vector=[0, 0, 1], k=1)
        assert (hit.doc_id, hit.text, hit.passage) == ("n", "up", (6, 8))


def test_another_file_for_an_index_of_a_model_is_refused(compass):
    refused(MismatchError, "axes makes its vect", compass.build, "axes", from_vectors=(IDS, ROWS))


def test_other_vectors_than_those_of_the_index_are_refused(imported):
    imported.add([Document("new", "north")])
    for options in ({"from_vectors": (["new"], [[1, 0]])},):
        refused(MismatchError, "3 wide .* 2 wide", imported.build, "x", **options)
    more = (["new"], [[1, 0, 0]])
    refused(MismatchError, "float32", imported.build, "x", from_vectors=more, dtype="float16")


def test_damaged_imported_vectors_are_named_and_not_embedded_again(imported):
    (file,) = (imported.path / "vectors").rglob("*.npy")
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    (problem,) = imported.verify().problems
    assert "cannot be computed again. Restore that file" in problem.what
    repaired = imported.repair()
    assert repaired.done == ()
    assert [str(one) for one in repaired.left] == [problem.what]
    imported.drop("x")
    imported.build("x", from_vectors=(IDS, ROWS))
    assert imported.verify().ok


def test_a_lost_structure_over_imported_vectors_is_built_again(imported):
    imported.build("graph", vectors="x", ann="HNSW8")
    (file,) = (imported.path / "ann").iterdir()
    file.unlink()
    assert imported.repair().ok
    assert ids(imported.search(vector=[0, 2, 0], k=2, index="graph")) == ["e", "all"]
