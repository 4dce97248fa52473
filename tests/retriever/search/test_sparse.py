"""Sparse indexes under the rules of a collection: the answers of one build, after any changes."""

import json
import shutil

import numpy as np
import pytest

from indexes.errors import InputError
from retriever import Collection, Document, compare
from retriever.splitting import Words
from tests.support.commands import fail, succeed
from tests.support.models.families import TEXTS
from tests.support.models.sparse import splade
from tests.support.toy import Terms, ids, lacks, pairs, refused

NORTH = {
    "n": "north",
    "nn": "north north",
    "e": "east",
    "mix": "north east up",
    "fog": "fog",
}


@pytest.fixture
def terms(collection):
    """Five documents, one without a known word, under a sparse index."""
    collection.add(
        Document(name, text, metadata={"long": len(text) > 5}) for name, text in NORTH.items()
    )
    collection.build("terms", Terms())
    return collection


def files(collection):
    return sorted(path.name for path in (collection.path / "vectors").rglob("*.*"))


def test_only_documents_that_share_a_term_are_found_best_first(terms):
    assert pairs(terms.search("north")) == [("nn", 2.0), ("n", 1.0), ("mix", 1.0)]
    assert pairs(terms.search("up up east")) == [("mix", 3.0), ("e", 1.0)]
    assert not terms.search("fog")
    assert pairs(terms.search("north", k=9, where={"long": True})) == [("nn", 2.0), ("mix", 1.0)]
    assert files(terms) == ["00000001.postings"]
    info = terms.index_info("terms")
    assert (info.kind, info.rows, info.unfindable, info.similarity) == ("flat", 4, 1, "dot")


def test_increments_edits_and_deletions_answer_like_one_build(tmp_path):
    queries = ["north", "east up", "up", "north east east"]
    rng = np.random.default_rng(7)
    drawn = [" ".join(rng.choice(["north", "east", "up", "fog"], 5)) for _ in range(30)]
    with Collection.create(tmp_path / "many") as many, Collection.create(tmp_path / "one") as one:
        for start in range(0, 30, 6):
            many.add(Document(str(n), drawn[n]) for n in range(start, start + 6))
            many.build("terms", Terms())
        many.add([Document("3", "up up up"), Document("9", "fog")])
        many.delete(["4", "20"])
        stale = many.search("north east up", k=40)
        assert lacks(many, "terms", new=0, stale=2) in stale.notes
        many.build("terms")
        final = dict(enumerate(drawn)) | {3: "up up up", 9: "fog"}
        one.add(Document(str(n), final[n]) for n in final if n not in (4, 20))
        one.build("terms", Terms())

        def same():
            for query in queries:
                found, wanted = (dict(pairs(c.search(query, k=40))) for c in (many, one))
                assert found == wanted

        same()
        assert len(files(many)) == 1
        many.compact()
        same()
        assert many.verify().problems == ()


def test_a_damaged_file_is_found_and_embedded_again(terms):
    answer = pairs(terms.search("north"))
    [path] = (terms.path / "vectors").rglob("*.postings")
    terms.close()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    with Collection.open(terms.path) as again:
        assert "is damaged" in str(again.verify().problems[0])
        again.use("terms", Terms())
        assert again.repair().ok
        assert pairs(again.search("north")) == answer


def test_copies_exports_and_drops_are_those_of_any_index(terms, tmp_path):
    answer = pairs(terms.search("north"))
    terms.copy(tmp_path / "copy")
    with Collection.open(tmp_path / "copy") as copied:
        copied.use("terms", Terms())
        assert pairs(copied.search("north")) == answer
    terms.export("terms", tmp_path / "v.npy")
    rows = np.load(tmp_path / "v.npy")
    assert sorted(map(tuple, rows.tolist())) == [(0, 1, 0), (1, 0, 0), (1, 1, 1), (2, 0, 0)]
    assert terms.drop("terms") > 0
    assert not files(terms)


def test_it_is_a_part_of_fusions_cascades_and_comparisons(terms):
    terms.build("bm25", lexical=True)
    terms.fuse("both", ["terms", "bm25"])
    terms.fuse("scores", ["terms", "bm25"], method="minmax")
    terms.fuse("exact", ["terms", "bm25"], method="convex")
    terms.cascade("again", "bm25", "terms")
    assert set(ids(terms.search("north", index="both"))) == {"n", "nn", "mix"}
    assert ids(terms.search("fog", index="scores")) == ["fog"]
    assert ids(terms.search("fog", index="exact")) == ["fog"]
    assert ids(terms.search("north", index="again"))[0] == "nn"
    made = compare(terms, ["terms", "bm25"], {"1": "up"}, {"1": {"mix": 1}})
    row = made.rows["terms"]
    assert (row.kind, row.quality["nDCG@10"]) == ("exact", 1.0)
    assert row.cost.disk_size > 0


def test_more_like_one_and_diverse_hits_work_on_its_vectors(terms):
    assert ids(terms.search(like=["mix"], k=9))[0] in {"e", "nn", "n"}
    assert len(terms.search("north", k=3, mmr=0.5)) == 3


def test_the_best_passage_of_a_document_is_found(tmp_path):
    with Collection.create(tmp_path / "split", split=Words(2)) as collection:
        text = "north up. East east. fog fog."
        collection.add([Document("long", text), Document("short", "east")])
        collection.build("terms", Terms())
        hits = collection.search("east")
        assert pairs(hits) == [("long", 2.0), ("short", 1.0)]
        assert hits[0].text == "East east."


def test_structures_and_half_precision_are_refused(collection):
    collection.add([Document("n", "north")])
    for options in ({"ann": "HNSW8"}, {"recall": 0.9}):
        refused(InputError, "are sparse: their index is", collection.build, "t", Terms(), **options)
    refused(InputError, "stored as float32", collection.build, "t", Terms(), dtype="float16")
    collection.build("t", Terms(), ann="exact")
    collection.build("u", vectors="t")
    assert pairs(collection.search("north", index="u")) == [("n", 1.0)]
    refused(InputError, "to tune: a search of it is exact.$", collection.tune, "t", recall=0.9)


def test_the_command_line_answers_like_the_library(tmp_path):
    from sentence_transformers import SparseEncoder

    folder = splade(tmp_path / "tiny")
    place = tmp_path / "library"
    lines = [json.dumps({"id": str(n), "text": text}) for n, text in enumerate(TEXTS)]
    (tmp_path / "texts.jsonl").write_text("\n".join(lines))
    succeed("add", str(place), str(tmp_path / "texts.jsonl"))
    by = "--embedder", f"sparse:{folder}"
    succeed("build", str(place), "tiny", *by)
    succeed("build", str(place), "idf", *by, "-o", "queries", "idf")
    model = SparseEncoder(str(folder), device="cpu", local_files_only=True)
    rows = model.encode_document(TEXTS, convert_to_sparse_tensor=False)
    asked = model.encode_query(["river bank"], convert_to_sparse_tensor=False)
    scores = model.similarity(asked, rows)
    found = succeed("search", str(place), "river bank", "-i", "tiny", "-k", "20", "--json")
    hits = {one["doc_id"]: one["score"] for one in map(json.loads, found.splitlines())}
    wanted = {str(n): score for n, score in enumerate(scores.numpy()[0].tolist()) if score}
    assert hits == pytest.approx(wanted, abs=1e-3)
    assert succeed("search", str(place), "river bank", "-i", "idf")
    assert f"sparse:{folder}" in succeed("info", str(place), "--json")
    assert "are sparse" in fail("build", str(place), "x", *by, "--ann", "HNSW8")
    shutil.rmtree(folder)
    assert "No sparse model" in fail("search", str(place), "river bank", "-i", "tiny")
