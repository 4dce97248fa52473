"""Vectors that are exported and imported again are the same, bit by bit, and so are the answers."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexes.errors import InputError
from retriever import Collection, Document, HashingEmbedder, Words
from retriever.formats.vectors import read_vectors
from tests.support.laws import examples
from tests.support.toy import COMPASS, Axes

EMBEDDER = HashingEmbedder(24)
WORDS = ["wind", "sand", "tide", "moon", "fern", "!?"]
TEXTS = st.lists(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=9), min_size=1, max_size=12
).map(lambda texts: [Document(f"d{n}", " ".join(words)) for n, words in enumerate(texts)])
FILES = ("v.parquet", "v.npy", "parts")


def answers(collection, index, ids=True):
    hits = collection.search_many(WORDS[:-1], index=index, k=99)
    return [sorted((hit.doc_id, hit.passage, hit.score) for hit in found) for found in hits]


def stored(collection, index):
    """The vectors by document and place, as bytes."""
    file = collection.path.parent / f"{index}-stored.parquet"
    collection.export(index, file, force=True)
    found = read_vectors(file)
    return dict(zip(found.ids(True), map(bytes, np.asarray(found.vectors[:])), strict=True))


@settings(
    max_examples=examples(6),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(documents=TEXTS, dtype=st.sampled_from(["float32", "float16"]), split=st.booleans())
def test_exported_and_imported_vectors_and_their_answers_are_equal(
    tmp_path_factory, documents, dtype, split
):
    folder = tmp_path_factory.mktemp("round")
    how = Words(3, overlap=1) if split else None
    with (
        Collection.create(folder / "a", split=how) as first,
        Collection.create(folder / "b" / "b", split=how) as second,
    ):
        first.add(documents)
        first.build("own", EMBEDDER, dtype=dtype)
        second.add(documents[::-1])
        for name in FILES:
            report = first.export("own", folder / name)
            if not report.vectors:
                continue
            index = name.partition(".")[0] + name.partition(".")[2]
            missing = name != "v.parquet"  # which says what has nothing to embed
            second.build(
                index, from_vectors=folder / name, queries_by=EMBEDDER, allow_missing=missing
            )
            assert answers(second, index) == answers(first, "own")
            assert second.index_info(index).dtype == dtype
            kept = {one: row for one, row in stored(first, "own").items() if any(row)}
            assert {one: row for one, row in stored(second, index).items() if any(row)} == kept
        assert second.verify().ok


class Long(Axes):
    """Vectors of several lengths, compared by their inner product."""

    similarity = "dot"

    def encode_queries(self, texts):
        return np.array([[text.count(word) * 2 for word in self.words] for text in texts], "f4")

    encode_documents = encode_queries


@pytest.mark.parametrize("name", ["v.parquet", "parts"])
def test_a_similarity_is_kept_with_the_vectors(tmp_path, name):
    with Collection.create(tmp_path / "c") as collection:
        collection.add(COMPASS)
        collection.build("own", Long())
        collection.export("own", tmp_path / name)
        collection.build("again", from_vectors=tmp_path / name, allow_missing=True)
        assert collection.index_info("again").similarity == "dot"
        (query,) = Long().encode_queries(["north"])
        found = [collection.search(vector=query, index=one) for one in ("own", "again")]
        assert [(h.doc_id, h.score) for h in found[0]] == [(h.doc_id, h.score) for h in found[1]]


def test_a_parquet_file_has_a_row_for_each_passage(tmp_path):
    with Collection.create(tmp_path / "c", split=Words(2, overlap=0)) as collection:
        collection.add([Document("n", "north up fog", "Way", {"year": 2020}), Document("f", "fog")])
        collection.build("axes", Axes())
        report = collection.export("axes", tmp_path / "v.parquet", where={"year": 2020})
    assert (report.rows, report.vectors, report.missing) == (2, 1, 0)
    rows = pq.read_table(tmp_path / "v.parquet").to_pylist()
    half = np.float32(0.5**0.5)
    common = {"doc_id": "n", "title": "Way", "metadata": '{"year":2020}'}
    assert rows == [
        {
            **common,
            "passage_start": 0,
            "passage_end": 8,
            "text": "north up",
            "vector": [half, 0.0, half],
        },
        {**common, "passage_start": 9, "passage_end": 12, "text": "fog", "vector": None},
    ]


def test_edited_and_new_documents_are_left_out_and_noted(compass, tmp_path):
    compass.add([Document("n", "north north"), Document("new", "east")])
    report = compass.export("axes", tmp_path / "v.npy")
    assert list(read_vectors(tmp_path / "v.npy").ids(False)) == [("e", None, None)] + [
        (one, None, None) for one in ("all", "u")
    ]
    assert (report.vectors, report.missing) == (3, 2)
    assert report.notes[0].startswith("Left out: 1 document in ")


@pytest.mark.parametrize("name", ["d.jsonl", "d.parquet"])
def test_documents_are_exported_as_add_reads_them(compass, tmp_path, name):
    compass.add(
        [
            Document("new", 'a "quoted"\nline', "T", {"deep": {"year": [1, None]}}),
            Document("odd", "up", metadata={"metadata": '{"a": 1}', "title": "x", "n": 2**60}),
        ]
    )
    assert compass.export(None, tmp_path / name).rows == 7
    with Collection.create(tmp_path / "again") as again:
        again.add(tmp_path / name)
        assert list(again.documents()) == list(compass.documents())


def test_a_partition_that_no_document_has_is_refused(compass, tmp_path):
    compass.add([Document("new", "up", metadata={"year": 2020})])
    with pytest.raises(InputError, match="^The partition: No document has a field 'yaer'.*year"):
        compass.export(None, tmp_path / "lake", partition="yaer")
    assert not (tmp_path / "lake").exists()


def test_a_file_that_exists_is_replaced_only_by_force(compass, tmp_path):
    for name in FILES:
        compass.export("axes", tmp_path / name)
        with pytest.raises(Exception, match="exists. Give --force"):
            compass.export("axes", tmp_path / name)
        compass.export("half", tmp_path / name, force=True)
        assert read_vectors(tmp_path / name).dim == 2
    (tmp_path / "parts" / "mine.txt").write_text("kept")
    with pytest.raises(Exception, match="holds other files"):
        compass.export("axes", tmp_path / "parts", force=True)


def test_no_file_of_the_collection_is_replaced(compass):
    shard = next(compass.path.glob("vectors/**/*.npy"))
    before = shard.read_bytes()
    message = "is a file of the collection. Choose a place outside"
    for place in (shard, compass.path / "vectors"):
        with pytest.raises(InputError, match=message):
            compass.export("axes", place, force=True)
    assert shard.read_bytes() == before


def test_an_export_that_fails_leaves_what_was_there(compass, tmp_path):
    compass.add([Document("two\nlines", "north")])
    compass.build("axes", Axes())
    (tmp_path / "v.npy").write_text("before")
    with pytest.raises(Exception, match="does not fit on a line"):
        compass.export("axes", tmp_path / "v.npy", force=True)
    assert (tmp_path / "v.npy").read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["compass", "v.npy"]


def test_a_folder_has_as_many_parts_as_its_rows_need(compass, tmp_path, monkeypatch):
    monkeypatch.setattr("retriever.formats.vectors.writing.PART_ROWS", 2)
    monkeypatch.setattr("indexes.vectors.rows.PAGE", 2)
    compass.export("axes", tmp_path / "parts")
    names = sorted(path.name for path in (tmp_path / "parts").glob("*.npy"))
    assert names == [f"part-0000{n}.npy" for n in range(3)]
    compass.build("again", from_vectors=tmp_path / "parts", allow_missing=True, queries_by=Axes())
    assert answers(compass, "again") == answers(compass, "axes")


def test_an_export_by_partition_is_read_by_others_as_one_table_with_the_field(tmp_path):
    import pyarrow.dataset as ds

    documents = [
        Document("a", "One.", "A", {"year": 2020}),
        Document("b", "Two.", "", {"year": 2021}),
        Document("c", "Three.", "", {"year": 2020}),
        Document("d", "Four."),
    ]
    with Collection.create(tmp_path / "library") as collection:
        collection.add(documents)
        collection.build("vectors", HashingEmbedder(8))
        report = collection.export(None, tmp_path / "lake", partition="year")
        assert report.rows == 4
        found = ds.dataset(tmp_path / "lake", partitioning="hive").to_table().to_pylist()
        years = {row["doc_id"]: row["year"] for row in found}
        assert years == {"a": 2020, "b": 2021, "c": 2020, "d": None}
        assert {row["doc_id"]: row["text"] for row in found} == {
            one.doc_id: one.text for one in documents
        }
        some = ds.dataset(tmp_path / "lake", partitioning="hive")
        assert some.to_table(filter=ds.field("year") == 2021).column("doc_id").to_pylist() == ["b"]
        # Again, over the same folder; and with vectors, beside the texts of each partition.
        with pytest.raises(InputError, match="exists"):
            collection.export("vectors", tmp_path / "lake", partition="year")
        report = collection.export("vectors", tmp_path / "lake", partition="year", force=True)
        assert (report.rows, report.vectors) == (4, 4)
        rows = np.load(tmp_path / "lake" / "year=2020" / "part-00000.npy")
        ids = (tmp_path / "lake" / "year=2020" / "part-00000.ids.txt").read_text().split()
        assert ids == ["a", "c"]
        assert np.array_equal(rows, HashingEmbedder(8).encode_documents(["A One.", "Three."]))


def test_partitions_that_cannot_be_are_refused(tmp_path, monkeypatch):
    from retriever.formats.vectors import partitions

    with Collection.create(tmp_path / "library") as collection:
        collection.add([Document(f"{n}", "One.", "", {"n": n, "tags": ["x"]}) for n in range(4)])
        monkeypatch.setattr(partitions, "MOST_PARTITIONS", 3)
        with pytest.raises(InputError, match="more than 3 different values"):
            collection.export(None, tmp_path / "lake", partition="n")
        with pytest.raises(InputError, match="has list for the field 'tags'"):
            collection.export(None, tmp_path / "lake", partition="tags")
        with pytest.raises(InputError, match="is one file"):
            collection.export(None, tmp_path / "lake.parquet", partition="n")
        assert not (tmp_path / "lake").exists()
