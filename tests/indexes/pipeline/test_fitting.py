"""What is fitted on the corpus: kept with the vectors, used unchanged, refitted on request."""

import json
import re
import shutil
from pathlib import Path

import pytest

from indexes.errors import DamageError, InputError, MismatchError, NextStep
from retriever import Collection, Document, HashingEmbedder, StaticEmbedder
from tests.support.commands import invoke
from tests.support.fittable import Rare
from tests.support.toy import Axes

# north is in 2 texts, east in 3: they weigh 1/3 and 1/4, and (1/3, 1/4) is 5/12 long.
CORPUS = [
    Document("n", "north"),
    Document("e", "east"),
    Document("e2", "east"),
    Document("both", "north east"),
]
# Four more of north: both weigh 1/4 only for east; north weighs 1/7.
MORE = [Document(f"n{number}", "north") for number in range(4)]
BEFORE = [("both", 1.0), ("n", 0.8), ("e", 0.6), ("e2", 0.6)]
QUERY = "north east"


def found(library, index="rare", k=4):
    return [(hit.doc_id, round(hit.score, 6)) for hit in library.search(QUERY, index=index, k=k)]


def fitted_files(library):
    folder = library.path / "fitted"
    return sorted(folder.iterdir()) if folder.is_dir() else []


def swept(library):
    library.delete([])  # a writer sweeps what nothing names
    return fitted_files(library)


@pytest.fixture
def small_batches(monkeypatch):
    """Batches of two documents, each committed at once."""
    monkeypatch.setattr("indexes.pipeline.builder.COMMIT_SECONDS", 0.0)
    monkeypatch.setattr("indexes.pipeline.builder.FIRST_BATCH", 2)
    monkeypatch.setattr("indexes.pipeline.builder.LARGEST_BATCH", 2)


@pytest.fixture
def corpus(tmp_path):
    """Four documents without an index."""
    with Collection.create(tmp_path / "library") as collection:
        collection.add(CORPUS)
        yield collection


@pytest.fixture
def library(corpus):
    """Four documents, and the index `rare` fitted on them."""
    corpus.build("rare", Rare())
    return corpus


# -- kept, and used unchanged ---------------------------------------------------------------------


def test_it_is_fitted_on_the_corpus_and_embedded_by_that(library):
    assert found(library) == BEFORE
    info = library.index_info("rare")
    assert (info.fitted_documents, info.fitted_texts, info.documents) == (4, 4, 4)
    weights = [1 / 3, 1 / 4, 1]
    assert json.loads(info.fingerprint)["fitted"] == weights
    (file,) = fitted_files(library)
    assert json.loads(file.read_bytes()) == ["", weights]
    assert info.fitted_size == file.stat().st_size
    checked = library.verify()
    assert (checked.ok, checked.leftovers, checked.files) == (True, (), 2)


def test_building_tells_how_many_texts_and_progress_is_shown(corpus):
    seen = []
    report = corpus.build("rare", Rare(), progress=lambda *step: seen.append(step))
    assert (report.fitted_texts, report.embedded) == (4, 4)
    assert seen == [(4, 4), (4, 4)]  # fitted, then embedded
    assert corpus.build("plain", Axes()).fitted_texts is None
    plain = corpus.index_info("plain")
    assert (plain.fitted_documents, plain.fitted_size, plain.refitting) == (None, 0, False)


def test_what_is_added_later_is_embedded_by_what_was_fitted_before(library):
    library.add(MORE)
    with Collection.open(library.path) as again:
        # An embedder of the user's own is given unfitted, and gets what it was fitted to.
        again.use("rare", Rare())
        assert again.build("rare").embedded == 4
        assert found(again, k=2) == BEFORE[:2]
        assert json.loads(again.index_info("rare").fingerprint)["fitted"] == [1 / 3, 1 / 4, 1]


def test_the_same_options_match_unfitted_and_others_are_named(library):
    assert library.build("rare", Rare()).embedded == 0
    with pytest.raises(MismatchError, match=r"another rare: .*option was , is other"):
        library.build("rare", Rare(option="other"))
    library.build("own", Rare(weights=[1, 1, 1]))
    with pytest.raises(MismatchError, match=r"fitted was \[1, 1, 1\], is \[0.5, 1, 1\]"):
        library.build("own", Rare(weights=[0.5, 1, 1]))
    library.build("plain", Axes())
    with pytest.raises(MismatchError, match=r"fitted was None, is \[1, 1, 1\]; kind was axes"):
        library.build("plain", Rare(weights=[1, 1, 1]))


def test_an_embedder_that_the_user_has_fitted_is_kept_as_it_is(tmp_path):
    own = Rare(weights=[4.0, 3.0, 1.0])
    with Collection.create(tmp_path / "library") as collection:
        collection.add(CORPUS)
        assert collection.build("rare", own).fitted_texts is None
        assert found(collection) == BEFORE  # 4 : 3, as 1/3 : 1/4
        (file,) = fitted_files(collection)
        assert json.loads(file.read_bytes()) == ["", [4.0, 3.0, 1.0]]
        info = collection.index_info("rare")
        assert (info.fitted_documents, info.fitted_size) == (None, file.stat().st_size)
    with Collection.open(tmp_path / "library") as collection:
        collection.use("rare", Rare())
        assert found(collection) == BEFORE


def test_it_is_fitted_on_passages_where_documents_are_split(tmp_path):
    from retriever import Words

    with Collection.create(tmp_path / "library", split=Words(1)) as collection:
        collection.add([Document("a", "north north east"), Document("b", "east")])
        report = collection.build("rare", Rare())
        assert report.fitted_texts == 4
        info = collection.index_info("rare")
        assert json.loads(info.fingerprint)["fitted"] == [1 / 3, 1 / 3, 1]
        assert (info.fitted_documents, info.fitted_texts) == (2, 4)


def test_an_interrupted_build_resumes_with_the_same_parameters(corpus, small_batches):
    with pytest.raises(KeyboardInterrupt):
        corpus.build("rare", Rare(fail_after=2))
    # By now the corpus is another: fitted on it, vectors would not fit those that are there.
    corpus.add(MORE)
    assert corpus.build("rare", Rare()).embedded == 6
    assert found(corpus, k=2) == BEFORE[:2]
    assert corpus.index_info("rare").fitted_documents == 4


def test_a_build_that_fails_before_anything_is_kept_leaves_nothing(corpus):
    with pytest.raises(KeyboardInterrupt):
        corpus.build("rare", Rare(fail_after=0))
    assert corpus.index_names() == []
    assert swept(corpus) == []


def test_dropping_the_last_index_frees_what_was_fitted(library):
    library.build("again", vectors="rare", ann="HNSW8")
    library.drop("rare")
    assert len(fitted_files(library)) == 1
    size = library.index_info("again")
    assert library.drop("again") == size.vectors_size + size.structure_size + size.fitted_size
    assert fitted_files(library) == []


def test_a_row_that_names_another_file_is_damage(library):
    import sqlite3

    db = sqlite3.connect(library.path / "catalog.db")
    db.execute("UPDATE embeddings SET fitted = NULL")
    db.commit()
    db.close()
    with (
        Collection.open(library.path) as again,
        pytest.raises(DamageError, match="list of files is not what was committed"),
    ):
        again.index_info("rare")


# -- refitted -------------------------------------------------------------------------------------


def built_at_once(tmp_path, documents):
    with Collection.create(tmp_path / "other") as other:
        other.add(documents)
        other.build("rare", Rare())
        return found(other, k=20)


def test_refitting_is_as_if_built_from_the_start(library, tmp_path):
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
    before = fitted_files(library)
    embedder = Rare()
    assert library.build("rare", embedder, refit=True).embedded == 0
    assert (embedder.seen, swept(library)) == ([], before)
    library.add([Document("up", "fog")])  # no word of it counts
    assert library.build("rare", embedder, refit=True).embedded == 1
    assert library.index_info("rare").fitted_documents == 5


def test_readers_keep_the_old_vectors_until_the_new_are_complete(library, small_batches):
    library.add(MORE)
    answers = []
    with Collection.open(library.path) as reader:
        reader.use("rare", Rare())
        held = reader.retriever("rare")

        def watch(done, total):
            answers.append(found(reader, k=4))

        library.build("rare", Rare(), refit=True, progress=watch)
        assert len(answers) == 5  # after fitting, and after each of four batches
        assert all(answer == BEFORE for answer in answers)
        with pytest.raises(MismatchError, match="holds vectors of another rare: fitted was"):
            held.search(QUERY)
        reader.use("rare", Rare())
        assert [doc_id for doc_id, _ in found(reader)[:2]] == ["both", "e"]


def test_a_search_that_meets_the_change_is_asked_again(library, monkeypatch):
    library.add(MORE)
    true = library._finder
    calls = []

    def finder(name):
        made = true(name)
        if not calls:
            calls.append(name)
            library.build("rare", Rare(), refit=True)
        return made

    monkeypatch.setattr(library, "_finder", finder)
    assert [doc_id for doc_id, _ in found(library)[:2]] == ["both", "e"]


@pytest.fixture
def stopped(library, small_batches):
    """A refit that was stopped when two of eight documents were embedded again."""
    library.add(MORE)
    with pytest.raises(KeyboardInterrupt):
        library.build("rare", Rare(fail_after=2), refit=True)
    assert len(swept(library)) == 2
    return library


def test_an_interrupted_refit_answers_as_before_and_resumes(stopped, tmp_path):
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


def test_an_interrupted_refit_begins_again_where_the_corpus_has_changed(stopped, tmp_path):
    stopped.delete(["n3"])
    embedder = Rare()
    assert stopped.build("rare", embedder, refit=True).embedded == 7
    assert found(stopped, k=20) == built_at_once(tmp_path, [*CORPUS, *MORE[:3]])
    assert len(swept(stopped)) == 1
    assert stopped.verify().ok


def test_building_after_an_interrupted_refit_goes_on_with_the_old_vectors(stopped):
    assert stopped.build("rare").embedded == 4
    assert found(stopped, k=2) == BEFORE[:2]
    stopped.drop("rare")
    assert (swept(stopped), list((stopped.path).glob("vectors/*/*"))) == ([], [])


def test_a_damaged_half_of_a_refit_is_forgotten_by_repair(stopped):
    newest = fitted_files(stopped)[-1]
    newest.write_bytes(b"?")
    checked = stopped.verify()
    assert [problem.cure for problem in checked.problems] == ["unfinished"]
    repaired = stopped.repair()
    assert repaired.ok
    assert repaired.done == ("dropped the unfinished refit 'rare-2'",)
    assert stopped.build("rare", Rare(), refit=True).embedded == 8


@pytest.mark.parametrize("name", ["plain", "words", "both"])
def test_what_has_nothing_fitted_says_so(library, name):
    library.build("plain", HashingEmbedder(8))
    library.build("words", lexical=True)
    library.fuse("both", ["rare", "words"])
    with pytest.raises(InputError, match=f"Nothing is fitted in index '{name}'"):
        library.build(name, refit=True)


def test_refitting_takes_no_other_options(library):
    with pytest.raises(InputError, match="no other option than an embedder"):
        library.build("rare", ann="HNSW8", refit=True)
    with pytest.raises(MismatchError, match="made by another embedder than axes"):
        library.build("rare", Axes(), refit=True)


# -- damage ---------------------------------------------------------------------------------------


def test_a_damaged_file_is_said_and_only_a_refit_helps(library):
    (file,) = fitted_files(library)
    file.write_bytes(file.read_bytes().replace(b"0.25", b"0.75"))
    says = f"{file} is damaged: .* cannot be derived from anything else. Refit index 'rare'."
    with Collection.open(library.path) as again:
        with pytest.raises(DamageError, match=says) as caught:
            again.use("rare", Rare())
        assert caught.value.next_step == NextStep("refit", library.path, "rare")
        (problem,) = again.verify().problems
        assert re.fullmatch(says, problem.what)
        assert again.repair().left == (problem,)
        # The same corpus: the vectors are what they would be, and stay.
        assert again.build("rare", Rare(), refit=True).embedded == 0
        assert (again.verify().ok, found(again)) == (True, BEFORE)
        (file,) = swept(again)
        file.unlink()
        again.add(MORE)
        assert "is missing, though the catalog names it" in again.verify().problems[0].what
        assert again.build("rare", Rare(), refit=True).embedded == 8
        assert again.verify().ok


def test_damaged_vectors_are_embedded_again_by_what_was_fitted(library):
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


# -- notes and the command line -------------------------------------------------------------------


def test_a_corpus_that_has_grown_by_more_than_a_third_is_noted(library):
    from retriever.indexing.info import index_notes

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


def test_the_command_line_fits_refits_and_says_so(tmp_path, words, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Collection.create("library") as collection:
        collection.add(CORPUS)
    idf = ("--embedder", f"static:{words}", "-o", "weighting", "idf")
    built = invoke("build", "library", "idf", *idf)
    assert built.exit_code == 0, built.output
    assert "toy was fitted on 4 of the corpus's texts" in built.stderr
    with Collection.open("library") as collection:
        before = collection.index_info("idf").fingerprint
        assert found(collection, "idf")[0] == ("both", 1.0)
        collection.add(MORE)
    # The same options match, and the parameters stay.
    assert invoke("build", "library", "idf", *idf).exit_code == 0
    info = invoke("info", "library")
    note = (
        "'idf' was fitted on 4 of now 8 documents; refit with: retriever build library idf --refit"
    )
    assert note in info.stderr
    assert "4 passages" in next(line for line in info.stdout.splitlines() if "fitted on" in line)
    other = invoke("build", "library", "idf", *idf, "-o", "unit_words", "true")
    assert other.exit_code == 1
    assert "unit_words was None, is True" in other.stderr
    refitted = invoke("build", "library", "idf", "--refit", "--json")
    assert json.loads(refitted.stdout)["embedded"] == 8
    with Collection.open("library") as collection:
        assert collection.index_info("idf").fingerprint != before
        assert collection.index_info("idf").case
        assert collection.index_info("idf").description.endswith("toy.txt, idf")
        at_once = StaticEmbedder(words, weighting="idf").fitted([d.text for d in [*CORPUS, *MORE]])
        assert collection.index_info("idf").fingerprint == at_once.fingerprint
        assert found(collection, "idf")[0] == ("both", 1.0)
    refused = invoke("build", "library", "idf", "--refit", "--ann", "HNSW8")
    assert (refused.exit_code, "no other option" in refused.stderr) == (1, True)


# -- models inside the collection -----------------------------------------------------------------


def test_a_collection_moves_with_the_models_inside_it(tmp_path, words):
    with Collection.create(tmp_path / "library") as collection:
        collection.add(CORPUS)
        (collection.path / "models" / "own").mkdir(parents=True)
        inside = Path(shutil.copy(words, collection.path / "models" / "own" / "toy.txt"))
        words.unlink()
        collection.build("own", StaticEmbedder(inside))
        assert collection.index_info("own").embedder == "static:models/own/toy.txt"
        expected = found(collection, "own")
    moved = (tmp_path / "library").rename(tmp_path / "moved")
    with Collection.open(moved) as collection:
        assert found(collection, "own") == expected
        collection.delete([])
        assert (collection.verify().ok, collection.verify().leftovers) == (True, ())
        collection.drop("own")
        assert (moved / "models" / "own" / "toy.txt").exists()


def test_verify_misses_a_model_that_an_index_needs(corpus, words):
    (corpus.path / "models").mkdir()
    inside = Path(shutil.copy(words, corpus.path / "models" / "toy.txt"))
    corpus.build("own", StaticEmbedder(inside))
    inside.unlink()
    (problem,) = corpus.verify().problems
    assert problem.what.startswith(f"Index 'own' needs the model in {inside}, which is missing")
    assert corpus.repair().left == (problem,)
