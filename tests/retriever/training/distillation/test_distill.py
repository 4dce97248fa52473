"""Distillation: the fit by hand and by finite differences, and a teacher that a table can equal."""

import json
import sys
from contextlib import nullcontext, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from string import ascii_lowercase
from tempfile import TemporaryDirectory
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from indexes.errors import CollectionError, InputError, MismatchError, UnknownNameError
from indexes.progress import ignore_progress
from retriever import (
    Collection,
    ContextualEmbedder,
    Document,
    HashingEmbedder,
    StaticEmbedder,
    compare,
    distill,
)
from retriever.cli.distill import _notes
from retriever.datasets.lee import lee
from retriever.embedders.base import unit
from retriever.embedders.tokenization.subword_tokenizer import TextTokenizer
from retriever.training.distillation.evaluate import (
    StudentScores,
    evaluate_student,
    judged_test_set,
)
from retriever.training.distillation.held_out import TaughtTexts, divide, not_among
from retriever.training.distillation.reading import Teacher, read
from retriever.training.distillation.student import (
    FitOptions,
    TableFit,
    TrainingSet,
    at_most,
    fit,
    mapped,
    mean_cosine,
    with_means,
)
from retriever.training.distillation.teacher import Budget, encode_with_budget
from retriever.training.distillation.tokenizer import student_tokenizer, token_texts
from retriever.training.distillation.training_texts import (
    general_sentences,
    sample,
    shuffled,
    titles_and_sentences,
)
from retriever.training.job import silent_stages
from tests.support.commands import misuse, objects, succeed
from tests.support.laws import examples
from tests.support.models.families import WORDS, save, tiny_bert
from tests.support.toy import Terms, refused

NO_ANCHORS = np.zeros((0, 2), np.float32)
PLAIN = FitOptions(contrast=0.0)


def lessons(tokens, vectors):
    return TrainingSet(csr_array(np.array(tokens, np.float32)), unit(np.array(vectors, np.float32)))


@pytest.mark.parametrize(("count", "places"), [(9, [0, 1, 2, 3, 4]), (3, [0, 2, 4]), (2, [0, 3])])
def test_anchors_are_spread_evenly(count, places):
    vectors = np.arange(5, dtype=np.float32)[:, None]
    assert at_most(count, vectors).ravel().tolist() == places
    assert at_most(count, vectors[:0]).shape == (0, 1)


def loss(table, some, anchors, options):
    """Compute the loss text by text in double precision."""
    total = 0.0
    for bag, target in zip(some.tokens.toarray(), some.vectors.astype(float), strict=True):
        direction = bag @ table / np.linalg.norm(bag @ table)
        total += 1 - direction @ target
        if len(anchors):
            sharp = options.sharpness
            odds = [np.exp(sharp * anchors @ vector) for vector in (target, direction)]
            p, q = (one / one.sum() for one in odds)
            total += options.contrast / sharp * (p * np.log(p / q)).sum()
    return total


def test_the_first_step_of_adam_by_hand():
    """The direction (3, 4) / 5 is fitted to (1, 0): the gradient is along (-4, 3).

    Adam's first step is the learning rate in every coordinate, whatever the gradient's size.
    """
    fitting = TableFit(np.array([[3.0, 4.0], [7.0, 7.0]], np.float32), NO_ANCHORS, PLAIN)
    some = lessons([[1, 0]], [[1, 0]])
    fitting.step(some.tokens, fitting.aims(some.vectors), rate=0.5)
    assert fitting.table[0] == pytest.approx([3.5, 3.5], abs=1e-4)
    assert fitting.table[1].tolist() == [7.0, 7.0]  # Not in the text: unchanged.


@pytest.mark.parametrize("contrast", [0.0, 3.0])
def test_the_gradient_is_that_of_finite_differences(contrast):
    random = np.random.default_rng(1)
    options = FitOptions(contrast=contrast, sharpness=5.0)
    some = lessons(random.integers(0, 3, (4, 5)) + np.eye(4, 5), random.normal(size=(4, 3)))
    anchors = unit(random.normal(size=(6, 3)).astype(np.float32)) if contrast else NO_ANCHORS
    table = random.normal(size=(5, 3))
    fitting = TableFit(table.astype(np.float32), anchors, options)
    sums = np.asarray(some.tokens @ table, np.float32)
    gradient = some.tokens.T @ fitting.gradient(sums, fitting.aims(some.vectors))
    slope = np.zeros_like(table)
    for place in np.ndindex(table.shape):
        step = np.zeros_like(table)
        step[place] = 1e-5
        above, below = (loss(table + by, some, anchors, options) for by in (step, -step))
        slope[place] = (above - below) / 2e-5
    assert gradient == pytest.approx(slope, abs=2e-3)


def test_a_known_table_is_recovered():
    random = np.random.default_rng(2)
    truth = random.normal(size=(40, 8)).astype(np.float32)
    bags = random.poisson(0.2, (2000, 40)) + np.eye(40)[random.integers(0, 40, 2000)]
    some = lessons(bags, bags @ truth)
    start = random.normal(size=truth.shape).astype(np.float32)
    before = start.copy()
    options = replace(PLAIN, rate=0.1, last_rate=0.01, batch=20, least_gain=-1.0)
    given = start, some[200:], some[:200], np.zeros((0, 8), np.float32), options
    fitted, again, other = (fit(*given, seed, ignore_progress) for seed in (1, 1, 2))
    assert mean_cosine(start, some[:200]) < 0.3
    assert fitted.cosine > 0.999
    assert np.array_equal(start, before)
    assert np.array_equal(fitted.table, again.table)
    assert not np.array_equal(fitted.table, other.table)


def test_fitting_stops_when_held_out_texts_gain_nothing_and_keeps_the_best():
    """The held-out vectors are opposite to the fitted ones, so no epoch can gain."""
    some = lessons([[1, 0], [0, 1]] * 8, [[1, 0], [0, 1]] * 8)
    against = TrainingSet(some.tokens, -some.vectors)
    start = np.eye(2, dtype=np.float32)
    fitted = fit(start, some, against, NO_ANCHORS, PLAIN, 1, ignore_progress)
    assert (fitted.epochs, fitted.cosine) == (0, -1.0)
    assert np.array_equal(fitted.table, start)


def test_fitting_that_never_stops_early_keeps_the_last_epoch():
    some = lessons([[1, 0], [0, 1]] * 8, [[1, 0], [0, 1]] * 8)
    against = TrainingSet(some.tokens, -some.vectors)
    start, options = np.ones((2, 2), np.float32), replace(PLAIN, least_gain=None)
    fitted = fit(start, some, against, NO_ANCHORS, options, 1, ignore_progress)
    assert fitted.epochs == options.most_epochs
    assert mean_cosine(fitted.table, some) > mean_cosine(start, some)


def test_a_linear_map_is_recovered_also_for_tokens_of_no_lesson():
    """The teacher's space is the table's, turned and stretched; the last token is in no lesson."""
    random = np.random.default_rng(3)
    table = random.normal(size=(41, 8)).astype(np.float32)
    turn = np.linalg.qr(random.normal(size=(8, 8)))[0].astype(np.float32)
    bags = random.poisson(0.2, (2000, 41)) + np.eye(41)[random.integers(0, 40, 2000)]
    bags[:, 40] = 0
    some = lessons(bags, unit(np.asarray(bags @ table, np.float32)) @ turn)
    found = mapped(table, some, 1e-6)
    assert found == pytest.approx(table @ turn, abs=1e-3)
    # A large penalty keeps the table.
    assert mapped(table, some, 1e6) == pytest.approx(table, abs=1e-4)
    nothing = np.zeros_like(table)
    assert mapped(nothing, some, 0.1).tolist() == nothing.tolist()


def test_the_fit_ends_with_the_map_and_reports_its_cosine():
    random = np.random.default_rng(4)
    some = lessons(random.poisson(0.5, (60, 9)) + np.eye(60, 9), random.normal(size=(60, 4)))
    start = random.normal(size=(9, 4)).astype(np.float32)
    given = start, some[:40], some[40:], np.zeros((0, 4), np.float32)
    plain = fit(*given, PLAIN, 1, ignore_progress)
    found = fit(*given, replace(PLAIN, map_penalty=0.1), 1, ignore_progress)
    assert found.table.tolist() == mapped(plain.table, some[:40], 0.1).tolist()
    assert found.cosine == mean_cosine(found.table, some[40:]) != plain.cosine
    assert found.epochs == plain.epochs


def test_small_corpora_get_more_epochs():
    options = FitOptions(steps=400, batch=256, epochs=10, most_epochs=20)
    sizes = (10, 6_000, 8_000, 100_000)
    assert [options.epochs_of(count) for count in sizes] == [20, 17, 12, 10]
    assert options.rate_of(0, 10) == options.rate
    assert options.rate_of(9, 10) == pytest.approx(options.last_rate)


def test_titles_and_sentences_by_eye():
    title, *sentences = "On keeping cats", "It purrs when stroked.", "It sleeps all day long."
    documents = [Document("a", " Ah! ".join(sentences), title=title), Document("b", sentences[0])]
    assert titles_and_sentences(documents) == [title, *sentences]


def test_a_large_corpus_is_sampled_in_its_order_and_shuffling_is_repeatable(monkeypatch):
    assert sorted(shuffled("abcdef", 3)) == list("abcdef")
    assert shuffled("abcdef", 3) == shuffled("abcdef", 3) != shuffled("abcdef", 4)
    monkeypatch.setattr("retriever.training.distillation.training_texts.MOST_DOCUMENTS", 5)
    chosen = sample(range(100), 100, 1)
    assert len(chosen) == 5
    assert chosen == sorted(chosen) == sample(range(100), 100, 1)
    assert sample(range(4), 4, 1) == [0, 1, 2, 3]


def test_general_sentences_fill_up():
    assert general_sentences(-3) == []
    assert len(general_sentences(7)) == 7
    assert all(len(text.split()) >= 3 for text in general_sentences(100))


def tokens_of(folder, tokenizer, text):
    """Return the tokens of a text, and their names."""
    (folder / "tokenizer.json").write_text(tokenizer)
    found = TextTokenizer(folder / "tokenizer.json")
    tokens = list(found.tokens_of(text))
    return tokens, list(map(found.name, tokens))


def test_words_of_the_corpus_are_tokens_if_the_teacher_has_none(tmp_path):
    made, again = (student_tokenizer(None, ["Café au lait, café noir", "lait"]) for _ in range(2))
    assert made == again
    _, names = tokens_of(tmp_path, made, "CAFÉ lait. lai")
    assert names == ["cafe", "lait", "[UNK]", "l", "##a", "##i"]


def test_a_teachers_word_pieces_are_reused_without_truncation():
    tokenizer = Tokenizer(WordPiece({"[PAD]": 0, "[UNK]": 1, "cat": 2, "##s": 3, "##": 4}))
    tokenizer.add_special_tokens(["[PAD]"])
    tokenizer.enable_truncation(3)
    made = student_tokenizer(tokenizer.to_str(), [], often=None)
    assert json.loads(made)["truncation"] is None
    assert token_texts(made) == ["", "", "cat", "s", "##"]
    # A token added after the vocabulary has a row, too.
    parts = json.loads(tokenizer.to_str())
    parts["added_tokens"].append({"id": 6, "content": "[QUERY]", "special": True})
    made = student_tokenizer(json.dumps(parts), [], often=None)
    assert token_texts(made) == ["", "", "cat", "s", "##", "", ""]


def test_a_frequent_word_gets_its_own_token(tmp_path):
    vocabulary = {"[UNK]": 0, "cat": 1, "##s": 2, "dog": 3, "##like": 4}
    teacher = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    teacher.normalizer, teacher.pre_tokenizer = BertNormalizer(lowercase=True), BertPreTokenizer()
    texts = ["Cats! cats? (cats)", "catlike dogs", "dog dog dog"]
    plain, made = (student_tokenizer(teacher.to_str(), texts, often=n) for n in (None, 3))
    assert "cats" not in json.loads(plain)["model"]["vocab"]
    assert json.loads(made)["model"]["vocab"] == {**vocabulary, "cats": 5}
    assert token_texts(made)[5] == "cats"
    assert tokens_of(tmp_path, made, "CATS catlike dogs")[0] == [5, 1, 4, 3, 2]


class Counting:
    """An encoder that returns the length of each text and counts the texts."""

    def __init__(self, stops_after=10**9):
        self.texts, self.stops_after = 0, stops_after

    def __call__(self, texts):
        if self.texts + len(texts) > self.stops_after:
            raise KeyboardInterrupt
        self.texts += len(texts)
        return np.array([[len(text), 1] for text in texts], np.float32)


TEXTS = ["x" * length for length in range(1, 1001)]


def encoded_by_teacher(folder, count, texts=TEXTS):
    """Encode `count` texts, check them, and return how many were new."""
    counting = Counting()
    found = encode_with_budget(
        folder, "texts", texts, counting, Budget(texts=count), ignore_progress
    )
    assert found.texts == texts[:count]
    assert found.vectors[:, 0].tolist() == list(range(1, count + 1))
    return counting.texts


def test_an_interrupted_teacher_resumes_within_its_budget_and_encodes_nothing_twice(tmp_path):
    counting = Counting(stops_after=400)
    given = tmp_path, "texts", TEXTS, counting, Budget(texts=900), ignore_progress
    refused(KeyboardInterrupt, None, encode_with_budget, *given)
    assert 0 < counting.texts <= 400
    smaller, rest, none = (encoded_by_teacher(tmp_path, count) for count in (100, 900, 900))
    assert (counting.texts + smaller + rest, none) == (900, 0)


def test_parts_of_other_texts_or_damaged_ones_are_not_reused(tmp_path):
    encoded_by_teacher(tmp_path, 500)
    others = [text.upper() for text in TEXTS]
    assert encoded_by_teacher(tmp_path, 500, others) == 500
    (tmp_path / "texts-00001.npy").write_bytes(b"damaged")
    assert 0 < encoded_by_teacher(tmp_path, 500, others) < 500


def test_a_budget_of_seconds_ends_the_encoding(tmp_path):
    """A batch is never cut short, so the first one is always encoded."""
    found = encode_with_budget(
        tmp_path, "texts", TEXTS, Counting(), Budget(seconds=1e-9), ignore_progress
    )
    assert 0 < len(found.texts) < len(TEXTS)
    none = encode_with_budget(tmp_path, "none", [], Counting(), Budget(seconds=1), ignore_progress)
    assert none.texts == []


class Timed(HashingEmbedder):
    """A teacher that takes 10 ms for each text, by a clock that only this teacher moves."""

    now = 0.0

    def __init__(self, dim, cost=0.01):
        super().__init__(dim)
        self.cost = cost

    def encode_queries(self, texts):
        self.now += self.cost * len(texts)
        return super().encode_queries(texts)


@pytest.fixture
def timed(news, monkeypatch):
    """Yield a timed teacher, as that of the index `teacher`."""
    embedder = Timed(64)
    monkeypatch.setattr("retriever.training.distillation.teacher.clock", lambda: embedder.now)
    monkeypatch.setattr(news, "embedder", lambda _: embedder)
    return embedder


def test_the_limit_of_seconds_counts_single_tokens(news, timed):
    """Six seconds are 600 texts: half for tokens, which are 2,700, and half for sentences."""
    found = distill(news, "six", teacher="teacher", seconds=6, build=False)
    assert 6 <= timed.now <= 6.4  # One more batch at most, of 32 texts.
    assert found.encoding_seconds == pytest.approx(timed.now)
    assert 300 <= found.tokens <= 332 + 150  # Tokens such as "a" and "##a" are read once.
    assert 250 <= found.read <= 332
    assert found.skipped_tokens > 2_000
    assert found.skipped_texts == 2_000 - found.read
    # All tokens are from the sentences, of which many were not read.
    assert 0 < found.unknown_tokens < found.skipped_tokens


def test_the_command_says_what_the_teacher_did_not_read(report):
    short = replace(report, tokens=1_000, skipped_texts=60, skipped_tokens=200, unknown_tokens=30)
    notes = list(_notes(short))
    assert "had read 1,000 of 1,200 tokens and 500 of 560 sentences" in notes[0]
    assert "without --seconds, the table is the same on any machine" in notes[1]
    assert "30 are in none" in notes[2]
    assert "--texts 500 repeats this table" in next(_notes(report))


def test_seconds_that_sentences_leave_are_for_the_other_tokens(news, timed):
    found = distill(news, "many", teacher="teacher", seconds=100, texts=100, build=False)
    assert (found.read, found.skipped_texts) == (100, 0)
    assert (found.skipped_tokens, found.unknown_tokens) == (0, 0)
    assert timed.now < 100


def test_too_few_seconds_are_refused_and_more_of_them_resume(news, timed):
    call = partial(distill, news, "short", teacher="teacher", build=False)
    why = r"0 of [\d,]+ sentences in 0.6 seconds; at least 20 sentences are needed"
    refused(InputError, why, call, seconds=0.1)
    spent = timed.now
    assert not (news.path / "models" / "short").exists()
    found = call(seconds=4)
    assert spent == pytest.approx(0.64)
    assert 4 <= timed.now <= 4.4
    assert found.encoding_seconds == pytest.approx(timed.now)


@settings(max_examples=examples(20), deadline=None)
@given(seconds=st.floats(0.01, 40), texts=st.none() | st.integers(1, 900), cost=st.floats(1e-3, 1))
def test_the_teacher_stops_at_most_one_batch_after_its_limit(seconds, texts, cost):
    now = 0.0

    def clock():
        return now

    def encode(some):
        nonlocal now
        now += cost * len(some)
        return np.ones((len(some), 2), np.float32)

    names, counts = [*TEXTS[:300], "", TEXTS[0]], np.arange(302)
    teacher = Teacher("teacher", 2, encode, encode)
    module = "retriever.training.distillation.teacher.clock"
    with TemporaryDirectory() as folder, mock.patch(module, clock):
        given = names, counts, TEXTS, teacher, Budget(seconds, texts), silent_stages
        with suppress(InputError):
            found = read(Path(folder), *given)
            assert found.count + found.unread.sum() == 301
            assert (found.tokens.any(axis=1) ^ found.unread).tolist() == [
                *[True] * 300,
                False,
                True,
            ]
            # What is spent on tokens before the sentences is half of the limit.
            assert not found.skipped or found.texts.seconds >= seconds / 2 - 64 * cost
    assert now <= seconds + 64 * cost + 1e-6


def test_a_token_that_was_not_read_starts_from_its_texts():
    """The second token is in both texts, once twice as often; the third is in none."""
    some = lessons([[1, 2, 0], [0, 1, 0]], [[1, 0], [0, 1]])
    pieces = np.array([[3, 4], [0, 0], [0, 0]], np.float32)
    found = with_means(pieces, np.array([False, True, True]), some)
    assert found[0].tolist() == [3, 4]
    assert found[1] == pytest.approx([2 / 5**0.5, 1 / 5**0.5])
    assert found[2].tolist() == [0, 0]


def test_passages_are_spread_evenly_over_any_shards(collection, monkeypatch):
    monkeypatch.setattr("indexes.vectors.shards.MERGED_BYTES", 1)
    documents = [Document(str(number), f"number {number}") for number in range(30)]
    for start in range(0, 30, 7):
        collection.add(documents[start : start + 7])
        collection.build("index", HashingEmbedder(64))
    collection.delete(["0", "11"])
    every = [one.text for one in documents if one.doc_id not in ("0", "11")]
    for most in range(1, 31):
        found = [text for some, _ in collection.embedded("index", most=most) for text in some]
        assert found == every[:: -(-len(every) // most)]


def fill(library):
    """Add 60 news documents, and a teacher that a table can equal: it sums word vectors."""
    library.add(lee().documents[:60])
    library.build("teacher", HashingEmbedder(64))


@pytest.fixture(scope="module")
def news(tmp_path_factory):
    with Collection.create(tmp_path_factory.mktemp("news") / "library") as library:
        fill(library)
        yield library


@pytest.fixture(scope="module")
def report(news):
    return distill(news, "student", teacher="teacher", texts=500)


def test_a_teacher_that_sums_words_is_learned(news, report):
    assert report.cosine > 0.8
    assert (report.texts, report.held_out, report.passages) == (475, 25, 60)
    assert report.path == news.path / "models" / "student"
    assert report.build.embedded == 60
    texts = [document.text for document in lee().documents[:60]]
    embedders = StaticEmbedder(report.path), HashingEmbedder(64)
    student, teacher = (embedder.encode_documents(texts) for embedder in embedders)
    assert (student * teacher).sum(axis=1).mean() > 0.9


def test_the_report_counts_the_sentences_that_are_not_the_documents_own(tmp_path, news, report):
    own = titles_and_sentences(news.documents())
    # Those that are a document are in the index already.
    unread = not_among(own, [document.text for document in news.documents()])
    assert report.general == max(0, report.read - len(unread))
    with Collection.create(tmp_path / "library") as library:
        library.add(
            [Document("a", "中国银行在上海。河边很安静。"), Document("b", "She sat there.")]
        )
        library.build("teacher", HashingEmbedder(64))
        few = distill(library, "student", teacher="teacher", texts=100, build=False)
    # One of the documents' three sentences is a passage, and its vector is there.
    assert (few.read, few.general) == (100, 98)


def test_the_folder_loads_without_retriever_and_gives_the_same_vectors(report):
    from sentence_transformers import SentenceTransformer

    texts = ["The prime minister said that rain had fallen.", "Rain!", ""]
    plain = SentenceTransformer(str(report.path), device="cpu").encode(texts[:2])
    ours = StaticEmbedder(report.path).encode_documents(texts)
    assert ours[:2] == pytest.approx(plain, abs=1e-6)
    assert not ours[2].any()


def test_the_student_queries_its_teachers_vectors_and_is_a_row_in_a_comparison(news, report):
    news.build("fast", vectors="teacher", queries_by="student")
    news.cascade("both", "student", "teacher", depth=20)
    queries = {f"q{number}": text for number, text in enumerate(general_sentences(40)[20:])}
    compared = compare(news, ["teacher", "student", "fast", "both"], queries, k=5)
    assert list(compared.rows) == ["teacher", "student", "fast", "both"]
    assert compared.rows["fast"].latency is not None
    pairs = {frozenset(pair): agreement for pair, agreement in compared.pairwise.items()}
    assert pairs[frozenset(("fast", "teacher"))].overlap > 0.5


def test_a_student_is_judged_as_in_a_comparison_at_any_depth(news, report):
    queries = {f"q{number}": text for number, text in enumerate(general_sentences(40)[20:])}
    doc_ids = [document.doc_id for document in news.documents()]
    qrels = {query_id: dict.fromkeys(doc_ids[n::9], 1) for n, query_id in enumerate(queries)}
    student = StaticEmbedder(report.path)
    test_set = judged_test_set(news, queries, qrels)
    judged = evaluate_student(news, "teacher", student, "student", test_set)
    assert judged.queries == 20
    for measures in (["nDCG@10"], ["nDCG@10", "R@100"]):
        made = compare(news, ["teacher", "student"], queries, qrels, measures=measures)
        assert made.rows["teacher"]["nDCG@10"] == judged.teacher
        assert made.rows["student"]["nDCG@10"] == judged.student


def test_a_student_queries_no_other_vectors(news, report):
    news.build("other", HashingEmbedder(32))
    with pytest.raises(MismatchError) as caught:
        news.build("wrong", vectors="other", queries_by="student")
    # What to do is in the first line, before fingerprints.
    useful, differences = str(caught.value).splitlines()
    assert "was distilled from another embedder" in useful
    assert "Give --vectors of the index that it was distilled from" in useful
    assert differences.startswith("What differs: dim was 64, is 32")


def test_the_same_call_again_finds_the_student(news, report):
    again = distill(news, "student", teacher="teacher", texts=500)
    assert replace(again, build=None) == replace(report, already=True, build=None)


def test_existing_models_and_indexes_are_not_overwritten(news, report):
    call = partial(distill, news, teacher="teacher")
    refused(CollectionError, "student/ already exists", call, "student", texts=500, seed=2)
    refused(CollectionError, "Index 'teacher' already exists", call, "teacher", texts=500)
    # An option is checked even if the student exists.
    refused(InputError, "has no choice of precision", call, "student", precision="float32")


def test_a_teacher_of_sparse_vectors_is_refused(news):
    news.build("terms", Terms())
    message = "makes sparse vectors, which no student can learn. Choose an index of dense vectors."
    refused(InputError, message, distill, news, "other", teacher="terms")
    news.drop("terms")


def test_the_default_budget_is_a_number_of_texts_and_seconds_only_limit_it():
    assert Budget.of(None, None) == Budget(seconds=None, texts=2_000)
    assert Budget.of(None, 500) == Budget(texts=500)
    assert Budget.of(60.0, None) == Budget(60.0, 2_000)
    assert Budget.of(60.0, 500) == Budget(60.0, 500)


def test_the_default_table_does_not_depend_on_the_speed_of_the_machine(collection, monkeypatch):
    fill(collection)
    tables = []
    for name, cost in (("quick", 1e-6), ("slow", 10.0)):
        embedder = Timed(64, cost)
        monkeypatch.setattr(
            "retriever.training.distillation.teacher.clock", partial(getattr, embedder, "now")
        )
        monkeypatch.setattr(collection, "embedder", lambda _, embedder=embedder: embedder)
        found = distill(collection, name, teacher="teacher", build=False)
        assert (found.skipped_texts, found.skipped_tokens) == (0, 0)
        tables.append((found.path / "0_StaticEmbedding/model.safetensors").read_bytes())
    assert tables[0] == tables[1]


def test_another_number_of_texts_is_refused_with_the_way_out(news, report):
    call = partial(distill, news, "student", teacher="teacher")
    why = r"made from other settings .*texts was 500, is 8000.*Choose another name, or first remove"
    refused(CollectionError, why, call, texts=8000)
    refused(CollectionError, "texts was 500, is 2000", call)
    # No limit cut it off, so any gives the same.
    assert call(texts=500, seconds=0.001).already


def test_a_student_that_seconds_cut_off_is_refused_for_others_or_none(news, timed):
    call = partial(distill, news, "cut", teacher="teacher", build=False)
    assert call(seconds=7).skipped_texts
    assert call(seconds=7).already
    refused(CollectionError, "seconds was 7, is 9", call, seconds=9)
    refused(CollectionError, "seconds was 7, is None", call)


SENTENCES = [f"{one} number {n} sat by the sea." for n in range(30) for one in ("Cat", "Dog")]


class Recording(HashingEmbedder):
    """A teacher that keeps what it reads as a query."""

    def encode_queries(self, texts):
        self.read = [*getattr(self, "read", []), *texts]
        return super().encode_queries(texts)


@pytest.mark.parametrize("as_titles", [False, True])
def test_documents_of_one_sentence_are_held_out_of_the_lessons_and_not_read_again(
    collection, monkeypatch, as_titles
):
    """The sentences are the passages, whose vectors are there: those held out are no lesson."""
    parts = [("", one) if not as_titles else (one, "") for one in SENTENCES]
    collection.add([Document(str(n), text, title=title) for n, (title, text) in enumerate(parts)])
    collection.build("teacher", HashingEmbedder(64))
    embedder, taught = Recording(64), []
    monkeypatch.setattr(collection, "embedder", lambda _: embedder)

    def recorded(start, lessons, held_out, *others):
        taught.append((lessons, held_out))
        return fit(start, lessons, held_out, *others)

    # The package has a function of this name.
    module = sys.modules["retriever.training.distillation.distill"]
    monkeypatch.setattr(module, "fit", recorded)
    found = distill(collection, "student", teacher="teacher", texts=100, build=False)
    assert not {*SENTENCES} & {*embedder.read}
    ((lessons, held_out),) = taught
    assert found.held_out == found.held_out_known == (60 + 100) // 20
    assert (found.read, found.texts, found.passages) == (100, 100, 60 - 8)
    # No bag of words of a held-out text is that of a lesson.
    bags = {tuple(row.indices) for row in lessons.tokens}
    assert not bags & {tuple(row.indices) for row in held_out.tokens}


def test_a_document_that_is_mostly_a_held_out_sentence_is_no_lesson():
    documents = [
        Document("a", "A cat sat by the sea.", title="Cats"),
        Document("b", "A dog sat by the sea. " + "It barked at every ship that came in. " * 3),
    ]
    passages = TaughtTexts([f"{one.title} {one.text}".strip() for one in documents], np.eye(2))
    own = ["A cat sat by the sea.", "A dog sat by the sea."]
    read = TaughtTexts([*own, *map(str, range(38))], np.ones((40, 2)))
    parts = divide(own, read, passages, documents)
    assert list(parts.held_out.texts) == own
    assert list(parts.read.texts) == list(map(str, range(38)))
    assert list(parts.passages.texts) == [documents[1].text.strip()]
    assert parts.known == 0


def test_an_interrupted_distillation_resumes_to_the_same_table(report, collection):
    def stages(label):
        if label == "fitting student":
            raise KeyboardInterrupt
        return nullcontext(ignore_progress)

    fill(collection)
    call = partial(distill, collection, "student", teacher="teacher", texts=500)
    refused(KeyboardInterrupt, None, call, stages=stages)
    models = collection.path / "models"
    assert [path.name for path in models.iterdir()] == [".student-work"]
    assert collection.index_names() == ["teacher"]
    found = call()
    assert [path.name for path in models.iterdir()] == ["student"]
    table = "0_StaticEmbedding/model.safetensors"
    assert (found.path / table).read_bytes() == (report.path / table).read_bytes()


def test_documents_added_while_the_teacher_encodes_are_detected(collection):
    def stages(label):
        if label.startswith("encoding sentences"):
            collection.add([Document("late", "It came too late.")])
        return nullcontext(ignore_progress)

    collection.add(lee().documents[:30])
    collection.build("teacher", HashingEmbedder(16))
    call = partial(distill, collection, "student", teacher="teacher", texts=100, stages=stages)
    refused(CollectionError, "changed while they were read", call)
    assert not (collection.path / "models" / "student").exists()


def test_teacher_and_student_are_evaluated(news, report):
    document = lee().documents[7]
    judged = {"queries": {"q": document.text[:200]}, "qrels": {"q": {document.doc_id: 1}}}
    again = distill(news, "student", teacher="teacher", texts=500, **judged)
    assert again.judged == StudentScores(1, teacher=1, student_queries=1, student=1)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seconds": 0}, "seconds is 0; expected a number above 0"),
        ({"texts": 0}, "texts is 0; expected a whole number from 1 up"),
        ({"texts": 2.5}, "texts is 2.5; expected a whole number from 1 up"),
        ({"texts": True}, "texts is True; expected a whole number from 1 up"),
        ({"seed": -1}, "seed is -1; expected a whole number of at least 0"),
        ({"precision": "float32"}, "has no choice of precision"),
        ({"queries": {"q": "rain"}}, "give both, or neither"),
        ({"queries": {"q": "rain"}, "qrels": {"p": {"a": 1}}}, "judgments for none of the 1 query"),
    ],
)
def test_wrong_arguments_are_refused(news, changed, message):
    refused(InputError, message, distill, news, "x", teacher="teacher", **changed)
    assert not (news.path / "models" / "x").exists()


def test_a_teacher_must_exist_and_have_vectors(news):
    refused(UnknownNameError, "No index 'nobody'", distill, news, "x", teacher="nobody")
    news.build("words", lexical=True)
    refused(InputError, "has no vectors of its own", distill, news, "x", teacher="words")


def test_the_commands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [{"_id": document.doc_id, "text": document.text} for document in lee().documents[:30]]
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "queries.jsonl").write_text('{"_id": "q", "text": "heavy rain and floods"}\n')
    (tmp_path / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq\tjudged-01\t1\n")
    judged = ("--queries", "queries.jsonl", "--qrels", "qrels.tsv")
    succeed("add", "library", "corpus.jsonl")
    succeed("build", "library", "teacher", "--embedder", "hashing", "-o", "dim", "32")
    command = ("distill", "library", "student", "--teacher", "teacher")
    lines = succeed(*command, "--texts", "300", *judged).splitlines()
    assert lines[0].startswith("student: learned from 285 sentences and 30 vectors of teacher, ")
    assert lines[2:4] == ["index student: 30 passages embedded", "nDCG@10 over 1 query:"]
    by_student = ["student's queries over teacher's vectors", "student on both sides"]
    assert [line.split("%  ")[1] for line in lines[4:]] == ["teacher itself", *by_student]
    succeed("build", "library", "fast", "--vectors", "teacher", "--queries-by", "student")
    rows = objects(succeed("compare", "library", *judged, "--json"))
    assert [row["name"] for row in rows[:3]] == ["teacher", "student", "fast"]
    assert "Give both --queries and --qrels" in misuse(*command, "--qrels", "qrels.tsv")


@pytest.mark.model
@pytest.mark.parametrize(
    ("family", "options"),
    [("bert", {}), ("bert", {"precision": "int8"}), ("roberta", {}), ("albert", {})],
)
def test_any_contextual_index_can_be_the_teacher(tmp_path, family, options):
    """Of word pieces, bytes or a unigram model, and of int8: without changes, at its precision."""
    if family == "bert":
        letters = [*ascii_lowercase, *(f"##{letter}" for letter in ascii_lowercase), *WORDS[:20]]
        names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys(letters)]
        sizes = {"hidden_size": 16, "intermediate_size": 32, "max_position_embeddings": 48}
        model = tiny_bert(tmp_path / "model", names, num_hidden_layers=2, **sizes)
    else:
        model = save(family, tmp_path / "model")
    embedder = ContextualEmbedder(model, **options)
    texts = [f"The {one} runs past the old {other}." for one in WORDS for other in WORDS[:3]]
    with Collection.create(tmp_path / "library") as library:
        library.add([Document(str(n), text) for n, text in enumerate(texts)])
        library.build("teacher", embedder)
        found = distill(library, "student", teacher="teacher", texts=60)
        assert found.precision == embedder.precision == options.get("precision", "float32")
        library.build("fast", vectors="teacher", queries_by="student")
        # The best of the student's hits are near the best that the teacher's queries find.
        asked = texts[::40]
        scores = embedder.encode_queries(asked) @ embedder.encode_documents(texts).T
        for text, row in zip(asked, scores, strict=True):
            nearest = library.search(text, index="fast", k=1)[0]
            assert row[int(nearest.doc_id)] > np.median(row)
