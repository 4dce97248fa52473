"""Tests of `build`, `info` and `drop`."""

import pytest

from retriever import Collection
from tests.support.commands import fail, invoke, misuse, objects
from tests.support.commands import succeed_silently as succeed

HASHING = ("--embedder", "hashing")


def test_build_embeds_once():
    succeed("add", "library", "corpus.jsonl")
    first = succeed("build", "library", "floor", *HASHING, "-o", "dim", "64")
    assert first.startswith("floor: 3 documents embedded in ")
    assert first.endswith(" s, 0 already in the index, indexed in 0.00 s\n")
    for again in (
        succeed("build", "library", "floor"),
        succeed("build", "library", "floor", *HASHING, "-o", "dim", "64"),
        succeed("build", "library", "graph", "--vectors", "floor", "--ann", "HNSW16"),
    ):
        assert ": 0 documents embedded in 0.0 s, 3 already in the index, indexed in 0." in again
    with Collection.open("library") as collection:
        floor, graph = collection.info().indexes
    assert (floor.dim, floor.factory, graph.factory) == (64, "Flat", "HNSW16")
    assert graph.vectors_shared_with == ("floor",)


def test_build_prints_json_and_notes(corpus):
    invoke("add", "library", "-", stdin=corpus + '{"id": "empty", "text": ""}')
    result = invoke("build", "library", "floor", *HASHING, "--json")
    (report,) = objects(result.stdout)
    assert (report["name"], report["embedded"], report["already"]) == ("floor", 4, 0)
    assert report["text"]["texts"] == 4
    assert report["failed"] == []
    assert result.stderr == "note: 'floor': 1 document has nothing that hashing-256 can embed.\n"
    assert invoke("build", "library", "floor").stderr == result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--embedder", "hash"],
            "No kind of embedder 'hash'. There are: static, contextual, elmo, sparse, hashing.",
        ),
        ([*HASHING, "-o", "dims", "64"], "No option 'dims' for hashing. It has: dim."),
        (
            [*HASHING, "-o", "dim", "wide"],
            "Option 'dim' of hashing is 'wide'; expected a whole number.",
        ),
        ([*HASHING, "-o", "dtype", "int8"], "dtype is 'int8'; expected one of: float32, float16."),
        (["--embedder", "hashing:glove"], "'hashing' takes no model"),
        (["--embedder", "static"], "'static' names no model. Write static:NAME"),
        (["--vectors", "flor"], "No index 'flor' in library/. It has: floor."),
        (["--vectors", "floor", "--ann", "Quick"], "FAISS knows no index 'Quick'"),
        ([], "Say how to build 'new': either --embedder KIND:MODEL"),
    ],
)
def test_an_index_that_cannot_be_built_is_refused(library, arguments, message):
    assert fail("build", library, "new", *arguments).startswith(message)
    with Collection.open(library) as collection:
        assert collection.index_names() == ["floor"]


def test_build_needs_a_collection_a_valid_name_and_an_embedder_for_options(library):
    assert fail("build", library, "a/b", *HASHING).startswith("'a/b' cannot name")
    assert fail("build", "nowhere", "new").startswith("nowhere/ is not a collection")
    assert misuse("build", library) == "Name an index to build, or give --all."
    for name in ("floor", "new"):
        assert misuse("build", library, name, "-o", "dim", "16") == (
            "-o sets embedder options: give --embedder KIND:MODEL with it."
        )
    succeed("add", "empty", "-", stdin="")
    assert fail("build", "empty", "floor", *HASHING) == (
        "empty/ has no documents yet. Add some first: retriever add empty FILE"
    )


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        ("static:no-such-words", "word vectors"),
        pytest.param("contextual:no-such-model", "sentence model", marks=pytest.mark.model),
    ],
)
def test_a_model_that_is_not_available_offline_lists_what_was_tried(library, spec, kind):
    name = spec.split(":")[1]
    lines = fail("build", library, "new", "--embedder", spec).splitlines()
    assert lines[0] == f"No {kind} '{name}'. Tried:"
    assert lines[1] == f"  path {name}: does not exist"
    assert lines[2].startswith(f"  package {name}: not installed")
    assert "HF_HUB_OFFLINE" in "\n".join(lines[3:-1])
    assert lines[-1].startswith("To get it: give the path of a model")


def test_info_lists_the_indexes(library):
    out = succeed("info", library)
    assert out.startswith("library/: 3 documents, catalog ")
    assert out.splitlines()[1].split() == ["floor"]
    (facts,) = objects(succeed("info", library, "--json"))
    assert (facts["path"], facts["documents"]) == ("library", 3)
    (index,) = facts["indexes"]
    assert (index["name"], index["rows"], index["options"]) == ("floor", 3, {"dim": 256})


def test_drop_prints_what_it_freed(two):
    assert succeed("drop", two, "floor") == "dropped floor: nothing freed\n"
    assert succeed("drop", two, "graph").startswith("dropped graph: ")
    assert fail("drop", two, "graph") == "No index 'graph' in library/. It has: none."


def test_drop_deletes_combinations_before_their_parts(two):
    succeed("build", two, "both", "--fuse", "floor", "--fuse", "graph")
    succeed("build", two, "deep", "--cascade", "floor", "--rerank", "both")
    refusal = "Index 'floor' is part of: both, deep. Drop those first."
    assert fail("drop", two, "floor", "graph") == f"{refusal}\nRun: retriever drop {two} deep"
    printed = succeed("drop", two, "floor", "both", "graph", "deep")
    assert [line.split(":")[0] for line in printed.splitlines()] == [
        f"dropped {name}" for name in ("deep", "both", "floor", "graph")
    ]


def test_building_a_combination_again_updates_its_parts(two):
    succeed("build", two, "both", "--fuse", "floor", "--fuse", "graph")
    succeed("add", two, "-", stdin='{"_id": "new", "text": "a kitten sleeps"}\n')
    printed = succeed("build", two, "both")
    assert printed.startswith("both: 1 document embedded in ")
    assert "s, 3 already in the index, indexed in " in printed
    assert succeed("build", two, "both").endswith("; nothing to build\n")


def test_vectors_are_stored_in_half_precision_on_request(library):
    succeed("build", library, "half", *HASHING, "-o", "dtype", "float16")
    floor, half = objects(succeed("info", library, "--json"))[0]["indexes"]
    assert (floor["dtype"], half["dtype"]) == ("float32", "float16")
    assert floor["vectors_size"] - half["vectors_size"] == 3 * 256 * 2
    (hit,) = objects(succeed("search", library, "kitten", "-i", "half", "-k", "1", "--json"))
    assert hit["doc_id"] == "cat"
    assert fail("build", library, "half", "-o", "dtype", "float32") == (
        "The vectors of 'half' are stored as float16, not float32. Leave dtype out, or build "
        "another index with an embedder."
    )
    assert succeed("verify", library) == "library/: intact; 3 documents, 6 vectors, 2 files\n"
