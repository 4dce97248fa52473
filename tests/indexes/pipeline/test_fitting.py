"""Embedders that are fitted on the corpus: parameters are kept, reused, refitted on request."""

import json
import re
import sqlite3
import threading
import time
from contextlib import closing

import pytest

from indexes import progress
from indexes.errors import DamageError, InputError, MismatchError, NextStep
from retriever import Collection, Document, HashingEmbedder, StaticEmbedder, Words
from retriever.indexing.notes import index_notes
from tests.support.commands import fail, invoke, succeed
from tests.support.models.fittable import Rare
from tests.support.toy import Axes, ids, refused, rounded

# north is in 2 texts, east in 3: they weigh 1/3 and 1/4, and (1/3, 1/4) is 5/12 long.
TEXTS = {"n": "north", "e": "east", "e2": "east", "both": "north east"}
CORPUS = [Document(*pair) for pair in TEXTS.items()]
# Four more of north: both weigh 1/4 only for east; north weighs 1/7.
MORE = [Document(f"n{number}", "north") for number in range(4)]
BEFORE = [("both", 1.0), ("n", 0.8), ("e", 0.6), ("e2", 0.6)]
QUERY = "north east"


def found(library, index="rare", k=4):
    return rounded(library.search(QUERY, index=index, k=k))


def fitted_files(library):
    return sorted(library.path.glob("fitted/*"))


def swept(library):
    library.delete([])  # a writer removes files that nothing names
    return fitted_files(library)


def fitted_weights(library):
    return json.loads(library.index_info("rare").fingerprint)["fitted"]


@pytest.fixture
def small_batches(monkeypatch):
    """Batches of two documents, each committed at once."""
    monkeypatch.setattr("indexes.pipeline.builder.COMMIT_SECONDS", 0.0)
    monkeypatch.setattr("indexes.pipeline.builder.FIRST_BATCH", 2)
    monkeypatch.setattr("indexes.pipeline.builder.LARGEST_BATCH", 2)


@pytest.fixture
def corpus(collection):
    """Four documents without an index."""
    collection.add(CORPUS)
    return collection


@pytest.fixture
def library(corpus):
    """Four documents, and the index `rare` fitted on them."""
    corpus.build("rare", Rare())
    return corpus


def test_an_embedder_is_fitted_on_the_corpus_before_it_embeds(library):
    assert found(library) == BEFORE
    info = library.index_info("rare")
    assert (info.fitted_documents, info.fitted_texts, info.documents) == (4, 4, 4)
    (file,) = fitted_files(library)
    assert json.loads(file.read_bytes()) == ["", fitted_weights(library)]
    assert fitted_weights(library) == [1 / 3, 1 / 4, 1]
    assert info.fitted_size == file.stat().st_size
    checked = library.verify()
    assert (checked.ok, checked.leftovers, checked.files) == (True, (), 2)


def test_the_time_of_a_fit_counts_as_embedding(corpus, monkeypatch):
    fit = Rare.fitted
    monkeypatch.setattr(Rare, "fitted", lambda self, texts: (time.sleep(0.2), fit(self, texts))[1])
    report = corpus.build("rare", Rare())
    assert report.embedding_seconds > 0.2
    assert corpus.index_info("rare").embedding_seconds == report.embedding_seconds
    corpus.add(MORE)
    more = corpus.build("rare").embedding_seconds
    total = corpus.index_info("rare").embedding_seconds
    assert total == pytest.approx(report.embedding_seconds + more)
    assert corpus.build("rare", refit=True).embedding_seconds > 0.2
    info = corpus.index_info("rare")
    assert 0.2 < info.fitting_seconds < info.embedding_seconds
    # The same fit again takes its time, and changes nothing.
    assert corpus.build("rare", refit=True).embedding_seconds > 0.2
    assert corpus.index_info("rare") == info


def test_the_memory_of_a_fit_counts_as_that_of_building(corpus, monkeypatch):
    # Stated by the test: what other tests left is collected at any time, and lowers the real one.
    fit, held, sampled = Rare.fitted, 7 << 20, threading.Semaphore(0)

    def resident():
        sampled.release()
        return held

    def with_much_memory(self, texts):
        nonlocal held
        held += 64 << 20
        while sampled.acquire(blocking=False):
            pass
        for _ in range(2):  # the first may have read `held` before
            assert sampled.acquire(timeout=60)
        held -= 64 << 20
        return fit(self, texts)

    monkeypatch.setattr(progress, "resident", resident)

    corpus.build("little", Rare(name="little"))
    monkeypatch.setattr(Rare, "fitted", with_much_memory)
    corpus.build("rare", Rare(name="much"))
    memory = [corpus.index_info(name).building_memory for name in ("little", "rare")]
    assert memory == [None, 64 << 20]


def test_a_build_reports_fitted_texts_and_progress(corpus):
    seen = []
    report = corpus.build("rare", Rare(), progress=lambda *step: seen.append(step))
    assert (report.fitted_texts, report.embedded) == (4, 4)
    assert seen == [(4, 4), (4, 4)]  # fitted, then embedded
    assert corpus.build("plain", Axes()).fitted_texts is None
    plain = corpus.index_info("plain")
    assert (plain.fitted_documents, plain.fitted_size, plain.refitting) == (None, 0, False)


def test_documents_added_later_are_embedded_with_the_same_parameters(library):
    library.add(MORE)
    with Collection.open(library.path) as again:
        again.use("rare", Rare())  # unfitted: it gets the stored parameters
        assert again.build("rare").embedded == 4
        assert found(again, k=2) == BEFORE[:2]
        assert fitted_weights(again) == [1 / 3, 1 / 4, 1]


def test_an_unfitted_embedder_matches_by_its_options_and_a_mismatch_is_named(library):
    assert library.build("rare", Rare()).embedded == 0
    library.build("own", Rare(weights=[1, 1, 1]))
    library.build("plain", Axes())
    for name, embedder, message in (
        ("rare", Rare(option="other"), r"another rare: .*option was , is other"),
        ("own", Rare(weights=[0.5, 1, 1]), r"fitted was \[1, 1, 1\], is \[0.5, 1, 1\]"),
        ("plain", Rare(weights=[1, 1, 1]), r"fitted was None, is \[1, 1, 1\]; kind was axes"),
    ):
        refused(MismatchError, message, library.build, name, embedder)


def test_an_embedder_that_the_user_has_fitted_is_not_fitted_again(corpus):
    assert corpus.build("rare", Rare(weights=[4.0, 3.0, 1.0])).fitted_texts is None
    assert found(corpus) == BEFORE  # 4 : 3, as 1/3 : 1/4
    (file,) = fitted_files(corpus)
    assert json.loads(file.read_bytes()) == ["", [4.0, 3.0, 1.0]]
    info = corpus.index_info("rare")
    assert (info.fitted_documents, info.fitted_size) == (None, file.stat().st_size)
    with Collection.open(corpus.path) as again:
        again.use("rare", Rare())
        assert found(again) == BEFORE


def test_an_embedder_is_fitted_on_passages_where_documents_are_split(tmp_path):
    with Collection.create(tmp_path / "library", split=Words(1)) as collection:
        collection.add([Document("a", "north north east"), Document("b", "east")])
        assert collection.build("rare", Rare()).fitted_texts == 4
        assert fitted_weights(collection) == [1 / 3, 1 / 3, 1]
        info = collection.index_info("rare")
        assert (info.fitted_documents, info.fitted_texts) == (2, 4)


def test_an_interrupted_build_resumes_with_the_same_parameters(corpus, small_batches):
    refused(KeyboardInterrupt, None, corpus.build, "rare", Rare(fail_after=0))
    # Nothing was committed.
    assert (corpus.index_names(), swept(corpus)) == ([], [])
    refused(KeyboardInterrupt, None, corpus.build, "rare", Rare(fail_after=2))
    # The corpus has changed: vectors of parameters fitted on it now would not be comparable.
    corpus.add(MORE)
    assert corpus.build("rare", Rare()).embedded == 6
    assert found(corpus, k=2) == BEFORE[:2]
    assert corpus.index_info("rare").fitted_documents == 4


def test_dropping_the_last_index_deletes_the_parameters(library):
    library.build("again", vectors="rare", ann="HNSW8")
    library.drop("rare")
    assert len(fitted_files(library)) == 1
    size = library.index_info("again")
    assert library.drop("again") == size.vectors_size + size.structure_size + size.fitted_size
    assert fitted_files(library) == []


def test_a_row_that_names_another_file_is_damage(library):
    with closing(sqlite3.connect(library.path / "catalog.db")) as db, db:
        db.execute("UPDATE embeddings SET fitted = NULL")
    message = "list of files is not what was committed"
    with Collection.open(library.path) as again:
        refused(DamageError, message, again.index_info, "rare")


def built_at_once(tmp_path, documents):
    with Collection.create(tmp_path / "other") as other:
        other.add(documents)
        other.build("rare", Rare())
        return found(other, k=20)


def test_refitting_equals_building_from_the_start(library, tmp_path):
    library.build("graph", vectors="rare", ann="HNSW8")
    library.add(MORE)
    embedder = Rare()
    report = library.build("rare", embedder, refit=True)
    assert (report.embedded, report.already, report.fitted_texts) == (8, 0, 8)
    assert len(embedder.seen) == 8
    expected = built_at_once(tmp_path, [*CORPUS, *MORE])
    # north 1/7, east 1/4: east is nearer now.
    assert [doc_id for doc_id, _ in expected[:3]] == ["both", "e", "e2"]
    for name in ("rare", "graph"):
        assert found(library, name, k=20) == expected
        info = library.index_info(name)
        assert (info.fitted_documents, info.missing, info.rows) == (8, 0, 8)
    assert library.index_info("graph").structure_size > 0
    checked = library.verify()
    assert (checked.ok, checked.leftovers, checked.files) == (True, (), 3)
    assert library._store.embedding("rare").name == "rare"
    assert len(fitted_files(library)) == 1
    with Collection.open(library.path) as again:
        again.use("rare", Rare())
        assert found(again, "graph", k=20) == expected


def test_refitting_the_same_corpus_embeds_nothing(library):
    before, embedder = fitted_files(library), Rare()
    assert library.build("rare", embedder, refit=True).embedded == 0
    assert (embedder.seen, swept(library)) == ([], before)
    library.add([Document("up", "fog")])  # it has no known word
    assert library.build("rare", embedder, refit=True).embedded == 1
    assert library.index_info("rare").fitted_documents == 5


def test_readers_keep_the_old_vectors_until_the_new_are_complete(library, small_batches):
    library.add(MORE)
    answers = []
    with Collection.open(library.path) as reader:
        reader.use("rare", Rare())
        held = reader.retriever("rare")

        def watch(done, total):
            answers.append(found(reader))

        library.build("rare", Rare(), refit=True, progress=watch)
        assert answers == [BEFORE] * 5  # after fitting, and after each of four batches
        refused(MismatchError, "holds vectors of another rare: fitted was", held.search, QUERY)
        reader.use("rare", Rare())
        assert ids(reader.search(QUERY, index="rare", k=2)) == ["both", "e"]


def test_a_search_during_the_switch_is_repeated(library, monkeypatch):
    library.add(MORE)
    true = library._finder

    def refit_after_the_first_call(name):
        made = true(name)
        monkeypatch.setattr(library, "_finder", true)
        library.build("rare", Rare(), refit=True)
        return made

    monkeypatch.setattr(library, "_finder", refit_after_the_first_call)
    assert ids(library.search(QUERY, index="rare", k=2)) == ["both", "e"]


@pytest.fixture
def stopped(library, small_batches):
    """A refit that was stopped when two of eight documents were embedded again."""
    library.add(MORE)
    refused(KeyboardInterrupt, None, library.build, "rare", Rare(fail_after=2), refit=True)
    assert len(swept(library)) == 2
    return library


def test_an_interrupted_refit_keeps_the_old_vectors_and_resumes(stopped, tmp_path):
    assert found(stopped) == BEFORE
    assert stopped.verify().ok
    assert stopped.index_info("rare").refitting
    assert stopped.compact().rows == 0
    embedder = Rare()
    assert stopped.build("rare", embedder, refit=True).embedded == 6
    assert embedder.seen == [d.text for d in [*CORPUS, *MORE][2:]]
    assert found(stopped, k=20) == built_at_once(tmp_path, [*CORPUS, *MORE])
    assert not stopped.index_info("rare").refitting
    assert len(swept(stopped)) == 1


def test_an_interrupted_refit_starts_over_if_the_corpus_has_changed(stopped, tmp_path):
    stopped.delete(["n3"])
    assert stopped.build("rare", Rare(), refit=True).embedded == 7
    assert found(stopped, k=20) == built_at_once(tmp_path, [*CORPUS, *MORE[:3]])
    assert len(swept(stopped)) == 1
    assert stopped.verify().ok


def test_building_after_an_interrupted_refit_continues_the_old_vectors(stopped):
    assert stopped.build("rare").embedded == 4
    assert found(stopped, k=2) == BEFORE[:2]
    stopped.drop("rare")
    assert (swept(stopped), list(stopped.path.glob("vectors/*/*"))) == ([], [])


def test_repair_drops_a_damaged_unfinished_refit(stopped):
    fitted_files(stopped)[-1].write_bytes(b"?")
    assert [problem.cure for problem in stopped.verify().problems] == ["begun"]
    repaired = stopped.repair()
    assert (repaired.ok, repaired.done) == (True, ("dropped the unfinished refit 'rare-2'",))
    assert stopped.build("rare", Rare(), refit=True).embedded == 8


def test_refitting_needs_a_fitted_index_and_takes_no_other_options(library):
    library.build("plain", HashingEmbedder(8))
    library.build("words", lexical=True)
    library.fuse("both", ["rare", "words"])
    for name in ("plain", "words", "both"):
        message = f"Nothing is fitted in index '{name}'"
        refused(InputError, message, library.build, name, refit=True)
    message = "no other option than an embedder and workers"
    refused(InputError, message, library.build, "rare", ann="HNSW8", refit=True)
    message = "made by another embedder than axes"
    refused(MismatchError, message, library.build, "rare", Axes(), refit=True)


def test_only_a_refit_repairs_damaged_parameters(library):
    (file,) = fitted_files(library)
    file.write_bytes(file.read_bytes().replace(b"0.25", b"0.75"))
    message = f"{file} is damaged: .* cannot be derived from anything else. Refit index 'rare'."
    with Collection.open(library.path) as again:
        with pytest.raises(DamageError, match=message) as caught:
            again.use("rare", Rare())
        assert caught.value.next_step == NextStep("refit", library.path, "rare")
        (problem,) = again.verify().problems
        assert re.fullmatch(message, problem.what)
        assert again.repair().left == (problem,)
        # The corpus is the same, so the vectors are kept.
        assert again.build("rare", Rare(), refit=True).embedded == 0
        assert (again.verify().ok, found(again)) == (True, BEFORE)
        (file,) = swept(again)
        file.unlink()
        again.add(MORE)
        assert "is missing, though the catalog names it" in again.verify().problems[0].what
        assert again.build("rare", Rare(), refit=True).embedded == 8
        assert again.verify().ok


def test_damaged_vectors_are_embedded_again_with_the_same_parameters(library):
    library.add(MORE)
    (shard,) = (library.path / "vectors").rglob("*.npy")
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    with Collection.open(library.path) as again:
        again.use("rare", Rare())
        assert again.repair().ok
        again.build("rare")
        assert found(again, k=2) == BEFORE[:2]


def test_a_corpus_that_has_grown_by_more_than_a_third_is_noted(library):
    def notes():
        return index_notes(library.index_info("rare"), library.path, split=False)

    library.add(MORE[:1])
    library.build("rare")
    assert notes() == []
    library.add(MORE)
    library.build("rare")
    assert notes() == [
        "'rare' was fitted on 4 of now 8 documents; refit with: "
        f"retriever build {library.path} rare --refit"
    ]


@pytest.fixture
def words(tmp_path):
    """Word vectors on a plane."""
    path = tmp_path / "toy.txt"
    path.write_text("east 1 0\nnorth 0 1\n")
    return path


def test_the_command_line_fits_and_refits(corpus, words, monkeypatch):
    monkeypatch.chdir(corpus.path.parent)
    build = ("build", "c", "idf")
    idf = ("--embedder", f"static:{words}", "-o", "weighting", "idf")
    assert "toy was fitted on 4 of the corpus's passages" in invoke(*build, *idf).stderr
    before = corpus.index_info("idf").fingerprint
    assert found(corpus, "idf")[0] == ("both", 1.0)
    corpus.add(MORE)
    succeed(*build, *idf)  # the same options match, and the parameters are kept
    info = invoke("info", "c")
    note = "'idf' was fitted on 4 of now 8 documents; refit with: retriever build c idf --refit"
    assert note in info.stderr
    assert "4 passages" in next(line for line in info.stdout.splitlines() if "fitted on" in line)
    assert "unit_words was None, is True" in fail(*build, *idf, "-o", "unit_words", "true")
    assert json.loads(succeed(*build, "--refit", "--json"))["embedded"] == 8
    info = corpus.index_info("idf")
    at_once = StaticEmbedder(words, weighting="idf").fitted([d.text for d in [*CORPUS, *MORE]])
    assert info.fingerprint == at_once.fingerprint != before
    assert info.case
    assert info.description.endswith("toy.txt, idf")
    assert found(corpus, "idf")[0] == ("both", 1.0)
    assert "no other option" in fail(*build, "--refit", "--ann", "HNSW8")


def move_inside(corpus, words):
    """Move a model into a collection."""
    inside = corpus.path / "models" / "own" / "toy.txt"
    inside.parent.mkdir(parents=True)
    return words.rename(inside)


def test_a_collection_moves_with_the_models_inside_it(corpus, words):
    corpus.build("own", StaticEmbedder(move_inside(corpus, words)))
    assert corpus.index_info("own").embedder == "static:models/own/toy.txt"
    expected = found(corpus, "own")
    corpus.close()
    moved = corpus.path.rename(corpus.path.with_name("moved"))
    with Collection.open(moved) as again:
        assert found(again, "own") == expected
        again.delete([])
        assert (again.verify().ok, again.verify().leftovers) == (True, ())
        again.drop("own")
        assert (moved / "models" / "own" / "toy.txt").exists()


def test_verify_names_a_missing_model_that_an_index_needs(corpus, words):
    inside = move_inside(corpus, words)
    corpus.build("own", StaticEmbedder(inside))
    inside.unlink()
    (problem,) = corpus.verify().problems
    assert problem.what.startswith(f"Index 'own' needs the model in {inside}, which is missing")
    assert corpus.repair().left == (problem,)
