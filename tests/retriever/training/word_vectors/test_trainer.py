"""Training of word vectors on a collection's texts: words, engines, files, errors, scores."""

import json
import os
import shutil
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from gensim.models import KeyedVectors, Word2Vec
from gensim.models.fasttext import load_facebook_vectors
from gensim.test.utils import datapath
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes.errors import (
    CollectionError,
    FileFormatError,
    InputError,
    MismatchError,
    UnknownNameError,
)
from indexes.progress import ignore_progress
from indexes.storage.files import writer_lock
from indexes.text.words import split
from retriever import Collection, Document, HashingEmbedder, StaticEmbedder, train
from retriever.datasets.lee import lee
from retriever.embedders.word_vectors.vectors import load_words
from retriever.training.checkpoint import Checkpoint, State
from retriever.training.word_vectors import corpus_files as words_module
from retriever.training.word_vectors.corpus_files import (
    read_word_files,
    vocabulary_of,
    write_word_files,
)
from retriever.training.word_vectors.gensim_models import NeuralModel
from retriever.training.word_vectors.intrinsic_scores import FEWEST, ScoreFiles, score_words
from retriever.training.word_vectors.report import write_vectors
from retriever.training.word_vectors.settings import epochs_of
from tests.support.commands import fail, invoke, succeed
from tests.support.fresh import printed_by
from tests.support.sources.records import write
from tests.support.toy import refused
from tests.support.trainings import interrupting, settings_for

NEWS = 100
SMALL = {"dim": 12, "epochs": 2, "workers": 1}
KINDS = {"word2vec": {}, "fasttext": {"buckets": 500}, "glove": {}}


@pytest.fixture
def library(tmp_path):
    """A hundred news documents."""
    with Collection.create(tmp_path / "library") as library:
        library.add(lee().documents[:NEWS])
        yield library


@pytest.fixture
def fit(library):
    """`train` on the news, with small settings."""
    return partial(train, library, **SMALL)


def texts(*given):
    return [Document(f"d{number}", text) for number, text in enumerate(given)]


def lines_of(files):
    return [line for file in files.files for line in file.read_text().split("\n")[:-1]]


def test_texts_become_lines_of_words_split_as_in_lookups(tmp_path):
    titled = Document("a", "It's a COVID-19 test.", title="Über uns")
    documents = [titled, *texts("...", "Über\u2028snake_case")]
    files = write_word_files(tmp_path, documents, 3, ignore_progress)
    assert lines_of(files) == ["über uns it s a covid 19 test", "über snake case"]
    assert (files.texts, files.words, files.words_of) == (2, 11, (11,))
    assert (files.counts["über"], sum(files.counts.values())) == (2, 11)
    assert read_word_files(tmp_path) == files
    # A line is never longer than gensim reads.
    files = write_word_files(tmp_path, texts("a " * 20_001), 1, ignore_progress)
    assert [len(line.split()) for line in lines_of(files)] == [10_000, 10_000, 1]
    assert files.words == 20_001


def test_words_go_into_several_files_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(words_module, "WORDS_IN_A_FILE", 3)
    monkeypatch.setattr(words_module, "TEXTS_AT_ONCE", 2)
    seen, documents = [], texts("a b", "c", "d", "e f", "g")
    files = write_word_files(tmp_path, documents, 5, lambda *step: seen.append(step))
    assert [file.read_text() for file in files.files] == ["a b\nc\n", "d\ne f\n", "g\n"]
    assert files.words_of == (3, 3, 1)
    assert seen == [(2, 5), (4, 5), (5, 5)]
    files.files[1].write_text("d\n")
    assert read_word_files(tmp_path) is None  # Truncated.


def test_the_vocabulary_is_sorted_by_count_and_then_by_spelling():
    counts = {"b": 5, "rare": 1, "a": 5, "c": 9}
    assert list(vocabulary_of(counts, 2, None, "x/").items()) == [("c", 9), ("a", 5), ("b", 5)]
    assert list(vocabulary_of(counts, 1, 2, "x/")) == ["c", "a"]


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=60))
def test_words_of_any_text_are_those_of_the_embedder(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("words")
    files = write_word_files(folder, texts(text), 1, ignore_progress)
    # Splitting and lower-casing the written words changes nothing.
    assert (
        write_word_files(folder, texts(*lines_of(files)), 1, ignore_progress).counts == files.counts
    )
    assert all(word == word.lower() for word in files.counts)


def test_a_small_corpus_gets_more_epochs():
    sizes = (0, 1_000_000, 1_250_001, 5_000_000, 10_000_000, 10**9)
    for kind, epochs in (("word2vec", [40, 40, 40, 10, 5, 5]), ("glove", [15] * 6)):
        assert [epochs_of(settings_for(kind), words) for words in sizes] == epochs
    assert epochs_of(settings_for("fasttext", epochs=3), 0) == 3


def neural(kind, folder, documents, progress=ignore_progress, **given):
    """Train a model in a work folder, as `train` does."""
    chosen = settings_for(kind, **{"workers": 1, **KINDS[kind], **given})
    with Checkpoint.opened(folder, kind, {"settings": chosen.facts()}) as work:
        files = read_word_files(work.path) or write_word_files(
            work.path, documents, 1, ignore_progress
        )
        vocabulary = vocabulary_of(files.counts, chosen.min_count, None, "x/")
        model = NeuralModel(chosen, vocabulary, files.texts)
        model.train(files, work, progress)
        return model.vectors().copy(), files, list(vocabulary)


@pytest.mark.parametrize("cbow", [False, True])
def test_several_files_and_epochs_are_one_training_of_gensim(tmp_path, cbow):
    documents = lee().documents[:100]
    vectors, files, words = neural("word2vec", tmp_path, documents, epochs=3, cbow=cbow)
    found = split([document.text for document in documents], lower=True)
    lines = (f"{' '.join(found.of(text))}\n" for text in range(len(found)))
    (tmp_path / "all.txt").write_text("".join(lines))
    peer = Word2Vec(vector_size=12, min_count=1, seed=1, workers=1, sg=not cbow)
    peer.build_vocab_from_freq({word: files.counts[word] for word in words})
    peer.train(corpus_file=str(tmp_path / "all.txt"), total_words=files.words, epochs=3)
    # The rate is the same up to the rounding of float32.
    np.testing.assert_allclose(vectors, peer.wv[words], atol=2e-3)


@pytest.mark.parametrize("kind", ["word2vec", "fasttext"])
def test_an_interrupted_training_resumes_to_the_same_vectors(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(words_module, "WORDS_IN_A_FILE", 5_000)
    documents = lee().documents[:60]
    full, files, _ = neural(kind, tmp_path, documents, epochs=3)
    assert len(files.files) > 1
    interrupt = interrupting(1.3 * files.words, 3 * files.words)
    refused(KeyboardInterrupt, None, neural, kind, tmp_path, documents, interrupt, epochs=3)
    rest = []
    again, *_ = neural(kind, tmp_path, documents, lambda done, _: rest.append(done), epochs=3)
    assert again.tobytes() == full.tobytes()
    assert files.words < rest[0] < rest[-1] == 3 * files.words  # Without the first epoch.


def test_another_seed_gives_other_vectors(tmp_path):
    fit = partial(neural, "word2vec", tmp_path, lee().documents[:30], epochs=1)
    one, again, other = (fit(seed=seed)[0].tobytes() for seed in (1, 1, 2))
    assert one == again != other


def test_a_training_of_another_identity_is_not_resumed(tmp_path):
    def interrupted(identity):
        found = []
        with suppress(KeyboardInterrupt), Checkpoint.opened(tmp_path, "x", identity) as work:
            found.append(work.load({"numbers": np.arange(3)}))
            work.save(State(1, {"numbers": np.arange(3)}))
            raise KeyboardInterrupt
        return found[0]

    assert interrupted({"seed": 1}) is None
    assert interrupted({"seed": 1}).arrays["numbers"].tolist() == [0, 1, 2]
    assert interrupted({"seed": 2}) is None
    # Arrays that do not fit are not passed to an engine.
    state = tmp_path / ".x-work" / "state.npz"
    np.savez(state, epochs=1, numbers=np.arange(2))
    assert interrupted({"seed": 2}) is None
    state.write_bytes(b"PK damaged")
    assert interrupted({"seed": 2}) is None
    with Checkpoint.opened(tmp_path, "x", {"seed": 2}):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_work_folder_is_locked_while_it_is_removed(tmp_path, monkeypatch):
    def removed(path, **_):
        refused(CollectionError, "is being written to by", writer_lock(path).__enter__)
        locked.append(path)
        real(path)

    real, locked = shutil.rmtree, []
    with Checkpoint.opened(tmp_path, "x", {}) as work:
        monkeypatch.setattr(shutil, "rmtree", removed)
    assert locked == [work.path]
    assert list(tmp_path.iterdir()) == []


def test_all_files_of_a_result_are_synced_before_it_is_renamed(tmp_path, monkeypatch):
    def recorded(descriptor):
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        real(descriptor)

    real, synced = os.fsync, []
    with Checkpoint.opened(tmp_path, "x", {}) as work:
        monkeypatch.setattr(os, "fsync", recorded)
        with work.result(tmp_path / "x") as folder:
            (folder / "inner").mkdir()
            (folder / "inner" / "table").write_text("vectors")
            (folder / "facts").write_text("facts")
    assert synced[-2:] == ["result", tmp_path.name]
    assert sorted(synced[:-2]) == ["facts", "inner", "table"]


def test_words_are_utf_8_in_any_locale(tmp_path):
    code = r"""
import sys
from pathlib import Path
from indexes.document import Document
from retriever.training.word_vectors.cooccurrence import count_file
from retriever.training.word_vectors.report import FACTS, write_facts
from retriever.training.word_vectors.corpus_files import read_word_files, write_word_files
from retriever.training.checkpoint import read_facts
folder, zeus = Path(sys.argv[1]), "\u03b6\u03b5\u03cd\u03c2"
words = write_word_files(folder, [Document("1", f"{zeus} {zeus}")], 1, lambda *_: None)
assert read_word_files(folder) == words and list(words.counts) == [zeus]
assert count_file(words.files[0], {zeus: 0}, 5)[1].tolist() == [2.0]
write_facts(folder, {"word": zeus})
assert read_facts(folder / FACTS) == {"word": zeus}
"""
    printed_by(code, tmp_path, LC_ALL="POSIX", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")


def test_vectors_are_read_by_gensim_and_by_us_as_they_were_written(tmp_path):
    vectors = np.array([[1.5, -2, 10, 32], [0.1, 1e-30, 3e30, 0]], np.float32)
    write_vectors(tmp_path / "vectors.bin", ["über", "b"], vectors)
    peer = KeyedVectors.load_word2vec_format(tmp_path / "vectors.bin", binary=True)
    ours = load_words(tmp_path / "vectors.bin")
    assert peer.index_to_key == list(ours) == ["über", "b"]
    assert peer.vectors.tobytes() == np.asarray(ours.vectors).tobytes() == vectors.tobytes()


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_trained_model_is_a_folder_and_an_index(library, fit, kind):
    report = fit(kind, "mine", **KINDS[kind])
    models = library.path / "models"
    assert [path.name for path in models.iterdir()] == ["mine"]  # The work folder is removed.
    peer = KeyedVectors.load_word2vec_format(models / "mine" / "vectors.bin", binary=True)
    assert peer.index_to_key[:2] == ["the", "to"]
    assert peer.vectors.shape == (report.vocabulary, 12)
    assert np.isfinite(peer.vectors).all()
    embedder = StaticEmbedder(report.path)
    assert embedder.lower
    for word in ("the", *peer.index_to_key[-50:]):  # Also words of equal frequency.
        assert embedder.words[word] == pytest.approx(peer[word], rel=1e-5, abs=1e-6)
    facts = json.loads((models / "mine" / "training.json").read_text())
    assert facts["settings"]["kind"] == kind
    assert facts["corpus"] == {"checksum": library.content_checksum(), "documents": NEWS}
    assert (facts["words"], facts["texts"], report.build.embedded) == (report.words, NEWS, NEWS)
    assert report.words == report.build.text.words  # The embedder splits the same.
    assert report.words_per_second == pytest.approx(2 * report.words / report.seconds)
    assert library.search("a bushfire near Sydney", index="mine", k=3)[0].score > 0


def test_a_fasttext_model_keeps_its_subwords(library, fit):
    report = fit("fasttext", "mine", build=False, buckets=500)
    assert (library.index_names(), report.build) == ([], None)
    peer = load_facebook_vectors(str(report.path))
    embedder = StaticEmbedder(report.path)
    assert "bushfirefighters" not in peer.key_to_index
    for word in ("the", "bushfirefighters"):
        assert embedder.words[word] == pytest.approx(peer[word], rel=1e-5, abs=1e-7)
    assert np.linalg.norm(peer["bushfirefighters"]) > 0


def test_a_trained_model_encodes_no_queries_for_other_vectors(library, fit):
    fit("glove", "mine")
    fit("glove", "other", build=False)
    library.build("hashing", HashingEmbedder(12))
    for name in ("mine", "other"):
        why = f"'{name}'.* was not distilled from any embedder"
        refused(MismatchError, why, library.build, "fast", vectors="hashing", queries_by=name)


def test_options_of_the_embedder_reach_the_index_and_are_checked_before_training(library, fit):
    for options, message in (
        ({"weighting": "foo"}, "Unknown weighting 'foo'"),
        ({"components": 10**6}, "nothing would be left"),
        ({"dtype": "float64"}, "dtype is 'float64'; expected one of: float32, float16"),
    ):
        refused(InputError, message, fit, "glove", "mine", options=options)
    assert not (library.path / "models").exists()
    fit("glove", "mine", options={"weighting": "sif", "dtype": "float16"})
    info = library.index_info("mine")
    assert (info.dtype, info.options["weighting"]) == ("float16", "sif")


def test_a_finished_training_is_neither_repeated_nor_replaced(library, fit):
    first = fit("glove", "mine", build=False)
    vectors = first.path.read_bytes()
    again = fit("glove", "mine")  # Now with its index.
    assert (again.already, again.seconds, again.words_per_second) == (True, 0, None)
    assert (again.scores, again.losses) == (first.scores, first.losses)
    assert again.build.embedded == NEWS
    assert fit("glove", "mine").build.embedded == 0
    why = r"models/mine/ already exists and was made from other settings or documents"
    refused(CollectionError, rf"{why} \(settings\)\. Choose anoth", fit, "glove", "mine", seed=2)
    library.add(texts("something new"))
    refused(CollectionError, rf"{why} \(corpus\)\. Choose anoth", fit, "glove", "mine")
    assert first.path.read_bytes() == vectors


@pytest.mark.parametrize("kind", list(KINDS))
def test_training_is_repeatable(fit, kind):
    one, two = (fit(kind, name, **KINDS[kind], build=False) for name in ("one", "two"))
    assert one.repeatable
    assert one.path.read_bytes() == two.path.read_bytes()


def stages_that(act):
    """Return stages that call `act(label, done, total)` on every progress."""
    return lambda label: nullcontext(partial(act, label))


def test_an_interrupted_call_leaves_no_model_and_resumes(library, fit):
    stages = []

    def interrupt(label, done, total):
        stages.append(label)
        if label == "training mine" and 2 * done > total:
            raise KeyboardInterrupt

    refused(KeyboardInterrupt, None, fit, "word2vec", "mine", stages=stages_that(interrupt))
    models = library.path / "models"
    assert [path.name for path in models.iterdir()] == [".mine-work"]
    assert list(dict.fromkeys(stages)) == ["reading texts", "training mine"]
    report, other = fit("word2vec", "mine"), fit("word2vec", "other", build=False)
    assert (report.resumed_after, other.resumed_after) == (1, 0)
    assert sorted(path.name for path in models.iterdir()) == ["mine", "other"]
    assert other.path.read_bytes() == report.path.read_bytes()


WRONG = {
    "Unknown kind of training 'bert'; expected one of: word2vec, fasttext, glove.": ("bert", {}),
    "dim is 0; expected a whole number of at least 1.": ("glove", {"dim": 0}),
    "epochs is 0; expected a whole number of at least 1.": ("word2vec", {"epochs": 0}),
    "min_count is -1; expected a whole number of at least 1.": ("glove", {"min_count": -1}),
    "max_vocab is 1; expected a whole number of at least 2.": ("glove", {"max_vocab": 1}),
    "seed is -1; expected a whole number of at least 0.": ("glove", {"seed": -1}),
    "x_max is -2.0; expected a number above 0.": ("glove", {"x_max": -2.0}),
    "x_max is a setting of glove, not of word2vec. Leave it out.": ("word2vec", {"x_max": 5.0}),
    "buckets is a setting of fasttext, not of glove. Leave it out.": ("glove", {"buckets": 5}),
    "cbow is not a setting of glove, which trains on counts.": ("glove", {"cbow": True}),
    "occurs at least 99,999 times; training needs two.": ("glove", {"min_count": 99_999}),
    "No option 'wieghting' for static.": ("glove", {"options": {"wieghting": "sif"}}),
}


@pytest.mark.parametrize("message", WRONG)
def test_library_and_command_raise_the_same_error(library, message):
    kind, given = WRONG[message]
    with pytest.raises((InputError, UnknownNameError)) as error:
        train(library, kind, "mine", **given)
    assert message in str(error.value)
    options = []
    for name, value in given.items():
        if name == "options":
            options += [part for pair in value.items() for part in ("-o", *pair)]
        else:
            options += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    assert fail("train", kind, str(library.path), "mine", *options) == str(error.value)
    assert not (library.path / "models" / "mine").exists()


def test_a_collection_without_documents_words_or_pairs_is_refused(collection):
    def check(message, **given):
        refused(InputError, message, train, collection, "glove", "mine", **given)

    check("has no documents yet. Add some first: retriever add")
    collection.add(texts("", "..."))
    check("Of the 0 distinct words of .*, no word occurs at least 5 times")
    collection.add([Document("x", "ho ho ho")])
    check("Of the 1 distinct words of .*, only 'ho' occurs at least 2 times", min_count=2)
    collection.add(texts("a", "b", "a"))
    collection.delete(["x"])
    check("No text of .* has two of the 2 words to train", min_count=1)
    assert list((collection.path / "models").iterdir()) == []


def test_documents_added_while_they_are_read_are_detected(library, fit):
    def add(label, done, total):
        if label == "reading texts" and done == total:
            with Collection.open(library.path) as other:
                other.add(texts("late"))

    why = "changed while they were read. Run the command again"
    refused(CollectionError, why, fit, "glove", "mine", stages=stages_that(add))
    assert fit("glove", "mine").texts == NEWS + 1


def test_an_invalid_name_and_that_of_an_index_are_refused(library, fit):
    for name in ("../mine", "", "a/b", ".hidden"):
        refused(InputError, "is not a valid model name. Use letters, digits", fit, "glove", name)
    library.build("mine", lexical=True)
    refused(CollectionError, "Index 'mine' already exists. Choose another", fit, "glove", "mine")
    assert not (library.path / "models").exists()


def test_a_folder_that_is_locked_or_cannot_be_written_is_one_clear_error(library, fit):
    models = library.path / "models"
    (models / ".mine-work").mkdir(parents=True)
    with writer_lock(models / ".mine-work"):
        refused(CollectionError, "is being written to by the call", fit, "glove", "mine")
    shutil.rmtree(models)
    models.write_text("a file, not a folder")
    refused(CollectionError, "work/ cannot be written: .*Check the free", fit, "glove", "mine")


def test_scores_by_hand(tmp_path):
    # king - man + woman = queen; x is as far from everything.
    words = ["man", "woman", "king", "queen", "x"]
    vectors = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 1], [0, 1, 1], [-1, -1, 0]], np.float32)
    lines = "man king woman queen\nMan King Woman X\nman unknown woman queen\n" * 15
    questions = write(tmp_path / "q.txt", f": family\n{lines}")
    # Cosines: man-king 0.71, man-woman 0, man-x -0.71.
    pairs = "man\tking\t9\nman\twoman\t5\nman\tx\t1\n" * 10
    files = ScoreFiles.read(questions, [write(tmp_path / "s.tsv", f"# people\n{pairs}")])
    analogies, similar = score_words(files, words, vectors)
    assert (analogies.value, analogies.known, analogies.total) == (0.5, 30, 45)
    assert (similar.value, similar.known, similar.total) == (pytest.approx(1), 30, 30)
    assert str(analogies) == "q.txt: 50.0 % right (30 of 45 questions known)"
    assert str(similar) == "s.tsv: 1.000 Spearman (30 of 30 pairs known)"


def test_too_few_known_words_give_no_score(tmp_path):
    pairs = write(tmp_path / "s.csv", "a,b,1\n" * (FEWEST - 1) + "a,c,1\n")
    rated = ScoreFiles.read(None, [pairs])
    _, score = score_words(rated, ["a", "b"], np.eye(2, dtype=np.float32))
    assert score.value is None
    assert str(score) == "s.csv: too few known words (29 of 30 pairs)"


def test_scores_are_those_of_gensim_on_the_files_that_it_ships(tmp_path):
    glove = StaticEmbedder("glove-6b-50d").words
    words = list(glove)[:4000]
    vectors = np.asarray(glove.vectors[:4000])
    peer = KeyedVectors(vectors.shape[1])
    peer.add_vectors(words, vectors)
    shipped = (tmp_path / "few.txt", [datapath("wordsim353.tsv"), datapath("simlex999.txt")])
    questions = Path(datapath("questions-words.txt")).read_text().splitlines(keepends=True)
    shipped[0].write_text("".join(questions[::40]))
    scores = score_words(ScoreFiles.read(*shipped), words, vectors)
    right, _ = peer.evaluate_word_analogies(str(shipped[0]))
    assert scores[0].value == pytest.approx(right)
    assert 0.4 < right < 0.9
    for score, path in zip(scores[1:], shipped[1], strict=True):
        _, spearman, unknown = peer.evaluate_word_pairs(path)
        assert score.value == pytest.approx(float(spearman[0]))
        assert 100 * (1 - score.known / score.total) == pytest.approx(unknown)
    names = [name for name, _ in ScoreFiles.read(None, None).similarities]
    assert names == ["wordsim353.tsv", "simlex999.txt"]


def test_a_bad_line_of_a_score_file_is_named(tmp_path):
    path = write(tmp_path / "file.txt", "a b c\n")
    refused(FileFormatError, "line 1: expected four words.", ScoreFiles.read, path, None)
    for content, line in (("a\tb\t1\na\tb\n", 2), ("a\tb\thigh\n", 1)):
        write(path, content)
        message = f"line {line}: expected two words and a rating"
        refused(FileFormatError, message, ScoreFiles.read, None, [path])
    refused(
        InputError,
        "none.txt cannot be read: No such file or directory.$",
        ScoreFiles.read,
        tmp_path / "none.txt",
        None,
    )


def test_the_command_trains_scores_and_builds(library):
    place, small = str(library.path), ("--dim", "12", "--epochs", "2", "--workers", "1")
    done = succeed("train", "word2vec", place, "mine", *small, "-o", "weighting", "idf")
    first, *scores, last = done.splitlines()
    assert first.startswith("mine: 466 words learned from 13,571 occurrences in ")
    assert first.endswith("library/models/mine/vectors.bin")
    names = [line.split(":")[0].strip() for line in scores]
    assert names == ["questions-words.txt", "wordsim353.tsv", "simlex999.txt"]
    assert last == "index mine: 100 passages embedded"
    facts = json.loads(succeed("train", "word2vec", place, "mine", *small, "--no-index", "--json"))
    assert (facts["already"], facts["build"]) == (True, None)
    assert facts["path"].endswith("library/models/mine/vectors.bin")
    assert json.loads(succeed("search", place, "bushfire", "-i", "mine", "--json"))


def test_the_command_notes_that_threads_are_not_repeatable(library):
    options = ("--dim", "8", "--epochs", "1", "--workers", "2", "--no-index")
    done = invoke("train", "word2vec", str(library.path), "mine", *options)
    assert done.exit_code == 0
    assert "--workers 1 is reproducible" in done.stderr
