"""Indexes over stored vectors with queries by another embedder, distilled from the vectors' own."""

import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import WhitespaceSplit

from indexes.errors import InputError, MismatchError, ModelNotAvailableError, UnknownNameError
from retriever import Collection, Document, HashingEmbedder, StaticEmbedder, compare
from tests.support.commands import fail, objects, succeed
from tests.support.models.fittable import Pupil, Rare
from tests.support.toy import COMPASS, QRELS, QUERIES, Axes, exactly, lacks, refused, rounded

# The pupil reads `sunrise` as east; the teacher does not know it.
SUNRISE = [("e", 1.0), ("all", 0.57735), ("n", 0.0), ("u", 0.0)]


def write_table(folder, vectors, teacher):
    """Write a static sentence model: a table of lower-case words, distilled from a teacher."""
    names = {word: row for row, word in enumerate(["[UNK]", *vectors])}
    tokenizer = Tokenizer(WordLevel(names, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = Lowercase(), WhitespaceSplit()
    folder.mkdir(parents=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    rows = np.array([[0] * 3, *vectors.values()], np.float32)
    save_file({"embedding.weight": rows}, folder / "model.safetensors")
    module = {"idx": 0, "name": "0", "path": "", "type": TYPE}
    (folder / "modules.json").write_text(json.dumps([module]))
    record = {"name": teacher.name, "fingerprint": teacher.fingerprint}
    (folder / "retriever.json").write_text(json.dumps({"teacher": record}))


TYPE = "sentence_transformers.models.StaticEmbedding"
TABLE = {"north": [1, 0, 0], "east": [0, 1, 0], "up": [0, 0, 1], "sunrise": [0, 1, 0]}


@pytest.fixture
def folder(compass):
    """The compass with a table in `models/table`, distilled from `axes`."""
    write_table(compass.path / "models" / "table", TABLE, Axes())
    return compass


@pytest.fixture
def fast(compass):
    """The compass with indexes `fast` and `graph`: vectors of `axes`, queries by a pupil."""
    compass.build("pupil", Pupil(Axes()))
    compass.build("fast", vectors="axes", queries_by="pupil")
    compass.build("graph", vectors="axes", queries_by="pupil", ann="HNSW8")
    return compass


def found(library, query, index, k=10):
    return rounded(library.search(query, index=index, k=k))


def test_queries_come_from_the_pupil_and_vectors_from_the_teacher(fast):
    assert found(fast, "sunrise", "axes") == []
    assert found(fast, "sunrise", "fast") == SUNRISE
    assert found(fast, "north", "fast") == found(fast, "north", "axes")
    notes = fast.search("fog", index="fast").notes
    assert notes == ("No known word in 'fog': pupil finds nothing for it.",)
    info = fast.index_info("fast")
    assert (info.queries_by, info.embedding) == ("pupil", "axes")
    assert info.description == "axes vectors, queries by pupil"
    assert set(info.vectors_shared_with) == {"axes", "graph"}
    assert fast.verify().ok


def test_nothing_is_embedded_for_it_and_the_other_indexes_can_be_dropped(fast):
    assert fast.build("fast").embedded == 0
    fast.drop("pupil")
    fast.drop("axes")
    with Collection.open(fast.path) as again:
        why = "made by an embedder of your own, Pupil"
        refused(InputError, why, again.search, "north", index="fast")
        again.use("fast", Pupil(Axes()))
        assert found(again, "sunrise", "fast") == SUNRISE


def test_documents_added_later_are_embedded_by_the_teacher(fast):
    fast.add([Document("new", "sunrise north")])
    assert fast.search("north", index="fast").notes == (lacks(fast, "fast", 1),)
    assert fast.build("fast").embedded == 1
    # The teacher sees only `north` in it.
    assert found(fast, "north", "fast", 2) == [("n", 1.0), ("new", 1.0)]
    assert fast.index_info("axes").missing == 0
    fast.add([Document("newer", "up")])
    with Collection.open(fast.path) as again:
        refused(InputError, "made by an embedder of your own, Axes", again.build, "fast")
        again.use("fast", Axes())  # Either of its two embedders can be given.
        assert again.build("fast").embedded == 1


def test_in_an_ann_index_and_in_combinations(fast):
    assert found(fast, "sunrise", "graph") == SUNRISE
    info = fast.index_info("graph")
    assert (info.kind, info.factory, info.queries_by) == ("ann", "HNSW8", "pupil")
    fast.build("words", lexical=True)
    fast.cascade("rerank", "words", "fast")
    # BM25 finds the documents with north: n and all; the pupil's query ranks them.
    assert found(fast, "north sunrise", "rerank") == [("all", 0.816497), ("n", 0.707107)]
    fast.cascade("candidates", "fast", "axes", depth=2)
    assert found(fast, "east", "candidates") == [("e", 1.0), ("all", 0.57735)]
    fast.fuse("both", ["fast", "words"])
    assert [doc_id for doc_id, _ in found(fast, "sunrise", "both")][:2] == ["e", "all"]
    before = fast.search("sunrise", index="graph")
    fast.add([Document("x", "east")])
    fast.delete(["x"])
    fast.build("graph")
    assert fast.search("sunrise", index="graph") == before
    fast.delete(["u"])
    fast.compact()
    assert found(fast, "sunrise", "graph") == SUNRISE[:3]
    assert fast.verify().ok


def test_a_repaired_ann_index_keeps_its_query_encoder(fast):
    (file,) = (fast.path / "ann").iterdir()
    file.write_bytes(b"?")
    with Collection.open(fast.path) as again:
        assert again.repair().ok
        assert again.index_info("graph").queries_by == "pupil"
        again.use("graph", Pupil(Axes()))
        assert found(again, "sunrise", "graph") == SUNRISE


def test_it_is_a_row_of_a_comparison_next_to_its_teacher(fast):
    queries = {**QUERIES, "q3": "sunrise"}
    report = compare(fast, ["axes", "fast", "graph"], queries, {**QRELS, "q3": {"e": 1}}, k=3)
    values = {name: [report.per_query[name]["nDCG@10"][q] for q in queries] for name in report.rows}
    assert values["fast"] == values["graph"] == [*values["axes"][:2], 1.0]
    assert values["axes"][2] == 0.0
    axes, fast_row, graph = report.rows.values()
    assert fast_row.description == "axes vectors, queries by pupil"
    assert graph.description == "axes vectors, queries by pupil, HNSW8"
    assert (graph.ann_recall, graph.exact_quality) == (1.0, fast_row.quality)
    assert fast_row.cost.disk_size == axes.cost.disk_size
    command = report.environment["index fast"]
    assert command == f"retriever build {fast.path} fast --vectors axes --queries-by pupil"


@pytest.mark.parametrize(
    ("vectors", "queries_by", "kind", "why"),
    [
        (
            *("half", "pupil", MismatchError),
            "'pupil' was distilled from another embedder than the half that made the vectors of "
            r"'half'\. .*distill 'half' again\.\nWhat differs: words was .*'north', 'east', 'up'.*"
            r", is .*'east', 'up'",
        ),
        (
            *("axes", "half", MismatchError),
            r"'half' \(half\) was not distilled from any embedder.* axes vectors of 'axes'",
        ),
        (
            *("axes", "pupils", UnknownNameError),
            "No model or index 'pupils' in .*It has: axes, half, pupil",
        ),
        ("axes", "rare", InputError, "'rare' was fitted on the documents"),
        ("axes", "words", InputError, "'words' is lexical: it has no vectors"),
        (None, "pupil", InputError, "Say how to build 'fast'"),
    ],
)
def test_a_wrong_pairing_is_refused_and_names_both_sides(compass, vectors, queries_by, kind, why):
    compass.build("pupil", Pupil(Axes()))
    compass.build("rare", Rare())
    compass.build("words", lexical=True)
    refused(kind, why, compass.build, "fast", vectors=vectors, queries_by=queries_by)
    why = "--queries-by .queries_by. belongs to --vectors INDEX"
    refused(InputError, why, compass.build, "fast", HashingEmbedder(8), queries_by="pupil")
    assert "fast" not in compass.index_names()


def test_another_query_encoder_needs_another_name(fast):
    fast.build("second", Pupil(Axes(), "second", lesson=2))
    check = partial(refused, MismatchError)
    why = r"'fast' already exists \(Flat over axes, queries by pupil\)"
    check(why, fast.build, "fast", vectors="axes", queries_by="second")
    check(r"'axes' already exists \(Flat over axes\)", fast.build, "axes", queries_by="pupil")
    why = "has its queries encoded by 'pupil', and this is another"
    check(why, fast.use, "fast", Pupil(Axes(), lesson=2))


def test_vectors_with_a_distilled_query_encoder_are_not_refitted(collection):
    collection.add(COMPASS)
    collection.build("rare", Rare())
    collection.build("pupil", Pupil(collection.embedder("rare")))
    collection.build("fast", vectors="rare", queries_by="pupil")
    why = "queries of fast are encoded for the present vectors"
    refused(InputError, why, collection.build, "rare", refit=True)


def test_a_table_in_models_knows_its_teacher_and_encodes_queries_in_a_moved_collection(folder):
    table = StaticEmbedder(Path(folder.path, "models", "table"))
    assert table.teacher == Axes().fingerprint
    assert table.encode_queries(["sunrise"]).tolist() == [[0, 1, 0]]
    folder.build("fast", vectors="axes", queries_by="table")
    assert found(folder, "Sunrise", "fast") == SUNRISE
    folder.close()
    moved = folder.path.rename(folder.path.with_name("moved"))
    with Collection.open(moved) as again:
        # The teacher is a custom embedder, and is not needed for queries.
        assert found(again, "Sunrise", "fast") == SUNRISE
        assert again.verify().ok
        shutil.rmtree(moved / "models" / "table")
        assert "Index 'fast' needs the model in" in again.verify().problems[0].what
    with Collection.open(moved) as again:
        refused(ModelNotAvailableError, "'fast' needs", again.search, "Sunrise", index="fast")


def test_a_new_table_is_used_only_after_another_build(folder):
    folder.build("fast", vectors="axes", queries_by="table")
    path = folder.path / "models" / "table"
    shutil.rmtree(path)
    write_table(path, TABLE | {"sunrise": [1, 0, 0]}, Axes())
    with Collection.open(folder.path) as again:
        why = "queries encoded by 'table', and this is another: .* build 'fast' again with --quer"
        refused(MismatchError, why, again.search, "north", index="fast")
        again.build("fast", vectors="axes", queries_by="table")
        assert found(again, "sunrise", "fast", 1) == [("n", 1.0)]
    shutil.rmtree(path)
    write_table(path, TABLE, Axes("half", words=("east", "up", "north")))
    with Collection.open(folder.path) as again:
        why = "'table' was distilled from another embedder"
        refused(MismatchError, why, again.build, "fast", queries_by="table")


def test_the_command_line_says_the_same(folder):
    place = str(folder.path)
    build = ("build", place, "fast", "--vectors", "axes", "--queries-by", "table")
    succeed(*build)
    # A table column may wrap.
    assert "queries by" in " ".join(succeed("info", place).split())
    hits = objects(succeed("search", place, "sunrise", "-i", "fast", "--json"))
    assert hits[0]["doc_id"] == "e"
    why = fail("build", place, "other", "--vectors", "half", "--queries-by", "table")
    refused(MismatchError, exactly(why), folder.build, "other", vectors="half", queries_by="table")


def test_what_a_model_of_the_collection_took_is_a_cost_of_its_systems(folder):
    place = folder.path / "models" / "table"
    facts = json.loads((place / "retriever.json").read_text())
    facts["report"] = {"encoding_seconds": 20.5, "fitting_seconds": 1.5, "texts": 9}
    (place / "retriever.json").write_text(json.dumps(facts))
    folder.build("table", f"static:{place}")
    folder.build("fast", vectors="axes", queries_by="table")
    folder.build("bm25", lexical=True)
    folder.fuse("all", ["table", "fast", "bm25"])
    size = sum(path.stat().st_size for path in place.iterdir())
    infos = {info.name: info for info in folder.info().indexes}
    for name in ("table", "fast"):
        (model,) = infos[name].own_models
        assert (model.place, model.seconds, model.size) == ("models/table", 22.0, size)
    rows = compare(folder, ["axes", "table", "fast", "bm25", "all"], QUERIES).rows
    own, vectors = (infos[name].embedding_seconds for name in ("table", "axes"))
    seconds = {name: row.cost.embedding_seconds for name, row in rows.items()}
    # Once in a fusion, whichever of its parts are made by it.
    expected = [vectors, own + 22, vectors + 22, 0, own + vectors + 22]
    assert list(seconds.values()) == pytest.approx(expected)
    disk = {name: row.cost.disk_size for name, row in rows.items()}
    assert disk["fast"] == disk["axes"] + size
    assert disk["all"] == disk["table"] + disk["axes"] + disk["bm25"]
    # A rate of the embedder alone.
    tokens = infos["table"].text.words / own
    assert rows["table"].cost.tokens_per_second == pytest.approx(tokens)
