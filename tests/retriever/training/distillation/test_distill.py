"""Distilling: the fit by hand and by finite differences, and a teacher that can be learnt whole."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array

from indexes.errors import CollectionError, InputError, MismatchError, UnknownNameError
from retriever import Collection, Document, HashingEmbedder, StaticEmbedder, compare, distill
from retriever.datasets.lee import lee
from retriever.embedders.base import unit
from retriever.embedders.tokenization.subword_tokenizer import TextTokenizer
from retriever.training.distillation.student import Recipe, TrainingSet, _Fitting, fit, likeness
from retriever.training.distillation.teacher import Budget, teach
from retriever.training.distillation.tokenizer import meanings, student_tokenizer
from retriever.training.distillation.training_texts import general, of_documents, sample, shuffled
from tests.support.commands import invoke

NO_ANCHORS = np.zeros((0, 2), np.float32)
PLAIN = Recipe(contrast=0.0)


def silent(done, total):
    """Progress that nobody watches."""


def lessons(tokens, vectors):
    return TrainingSet(csr_array(np.array(tokens, np.float32)), unit(np.array(vectors, np.float32)))


def loss(table, some, anchors, definition):
    """What is made small, written out for one text after the other, in double precision."""
    total = 0.0
    for bag, wanted in zip(some.tokens.toarray(), some.vectors.astype(float), strict=True):
        pointing = bag @ table
        pointing = pointing / np.linalg.norm(pointing)
        total += 1 - pointing @ wanted
        if len(anchors):
            sharp = definition.sharpness
            by_teacher, by_student = (
                np.exp(sharp * anchors @ wanted),
                np.exp(sharp * anchors @ pointing),
            )
            p, q = by_teacher / by_teacher.sum(), by_student / by_student.sum()
            total += definition.contrast / sharp * (p * np.log(p / q)).sum()
    return total


# -- the fit ------------------------------------------------------------------------------------


def test_the_first_step_of_adam_by_hand():
    """One token whose vector is (3, 4) / 5, asked to be (1, 0): the pull is along (-4, 3).

    The first step of Adam has the size of the rate in every coordinate, whatever the gradient's.
    """
    fitting = _Fitting(np.array([[3.0, 4.0], [7.0, 7.0]], np.float32), NO_ANCHORS, PLAIN)
    fitting.step(lessons([[1, 0]], [[1, 0]]), rate=0.5)
    assert fitting.table[0] == pytest.approx([3.5, 3.5], abs=1e-4)
    assert fitting.table[1].tolist() == [7.0, 7.0]  # not in the text: left alone


@pytest.mark.parametrize("contrast", [0.0, 3.0])
def test_the_pull_is_the_gradient_by_finite_differences(contrast):
    random = np.random.default_rng(1)
    definition = Recipe(contrast=contrast, sharpness=5.0)
    some = lessons(random.integers(0, 3, (4, 5)) + np.eye(4, 5), random.normal(size=(4, 3)))
    anchors = unit(random.normal(size=(6, 3)).astype(np.float32)) if contrast else NO_ANCHORS
    table = random.normal(size=(5, 3))
    fitting = _Fitting(table.astype(np.float32), anchors, definition)
    sums = np.asarray(some.tokens @ table, np.float32)
    pull = some.tokens.T @ fitting._pull(sums, some.vectors)
    slope = np.zeros_like(table)
    for place in np.ndindex(table.shape):
        step = np.zeros_like(table)
        step[place] = 1e-5
        there, back = (loss(table + by, some, anchors, definition) for by in (step, -step))
        slope[place] = (there - back) / 2e-5
    assert pull == pytest.approx(slope, abs=2e-3)


def test_a_table_that_is_there_to_be_found_is_found():
    random = np.random.default_rng(2)
    truth = random.normal(size=(40, 8)).astype(np.float32)
    bags = random.poisson(0.2, (2000, 40)) + np.eye(40)[random.integers(0, 40, 2000)]
    some = lessons(bags, bags @ truth)
    start = random.normal(size=truth.shape).astype(np.float32)
    kept = start.copy()
    definition = replace(PLAIN, rate=0.1, last_rate=0.01, batch=20, least_gain=-1.0)
    fitted = fit(start, some[200:], some[:200], np.zeros((0, 8), np.float32), definition, 1, silent)
    assert likeness(start, some[:200]) < 0.3
    assert fitted.cosine > 0.999
    assert np.array_equal(start, kept)
    again = fit(start, some[200:], some[:200], np.zeros((0, 8), np.float32), definition, 1, silent)
    assert np.array_equal(fitted.table, again.table)
    other = fit(start, some[200:], some[:200], np.zeros((0, 8), np.float32), definition, 2, silent)
    assert not np.array_equal(fitted.table, other.table)


def test_fitting_stops_when_held_out_texts_gain_nothing_and_keeps_the_best():
    """What is held out is the opposite of what is learnt: nothing can be gained by an epoch."""
    some = lessons([[1, 0], [0, 1]] * 8, [[1, 0], [0, 1]] * 8)
    against = TrainingSet(some.tokens, -some.vectors)
    start = np.eye(2, dtype=np.float32)
    fitted = fit(start, some, against, NO_ANCHORS, PLAIN, 1, silent)
    assert (fitted.epochs, fitted.cosine) == (0, -1.0)
    assert np.array_equal(fitted.table, start)


def test_small_corpora_are_gone_through_more_often():
    definition = Recipe(steps=400, batch=256, epochs=10, most_epochs=20)
    assert [definition.epochs_of(count) for count in (10, 6_000, 8_000, 100_000)] == [
        20,
        17,
        12,
        10,
    ]
    assert definition.rate_of(0, 10) == definition.rate
    assert definition.rate_of(9, 10) == pytest.approx(definition.last_rate)


# -- what is learnt from ------------------------------------------------------------------------


def test_titles_and_sentences_by_eye():
    documents = [
        Document(
            "a", "It purrs when stroked. Ah! It sleeps all day long.", title="On keeping cats"
        ),
        Document("b", "It purrs when stroked."),
    ]
    assert of_documents(documents) == [
        "On keeping cats",
        "It purrs when stroked.",
        "It sleeps all day long.",
    ]
    assert sorted(shuffled("abcdef", 3)) == list("abcdef")
    assert shuffled("abcdef", 3) == shuffled("abcdef", 3) != shuffled("abcdef", 4)


def test_a_large_corpus_is_sampled_in_its_order(monkeypatch):
    monkeypatch.setattr("retriever.training.distillation.training_texts.MOST_DOCUMENTS", 5)
    chosen = sample(range(100), 100, 1)
    assert len(chosen) == 5
    assert chosen == sorted(chosen) == sample(range(100), 100, 1)
    assert sample(range(4), 4, 1) == [0, 1, 2, 3]


def test_general_sentences_are_as_many_as_are_missing():
    assert general(-3) == []
    assert len(general(7)) == 7
    assert all(len(text.split()) >= 3 for text in general(100))


def test_words_of_the_corpus_are_tokens_where_the_teacher_has_none(tmp_path):
    made = student_tokenizer(None, ["Café au lait, café noir", "lait"])
    assert made == student_tokenizer(None, ["Café au lait, café noir", "lait"])
    (tmp_path / "tokenizer.json").write_text(made)
    tokenizer = TextTokenizer(tmp_path / "tokenizer.json")
    names = [tokenizer.name(token) for token in tokenizer.tokens_of("CAFÉ lait. lai")]
    assert names == ["cafe", "lait", "[UNK]", "l", "##a", "##i"]


def test_a_teachers_word_pieces_are_taken_over_and_cut_nothing_off():
    parts = {
        "truncation": {
            "max_length": 3,
            "strategy": "LongestFirst",
            "stride": 0,
            "direction": "Right",
        },
        "padding": None,
        "post_processor": None,
        "added_tokens": [{"id": 0, "content": "[PAD]", "special": True}],
        "model": {
            "type": "WordPiece",
            "vocab": {"[PAD]": 0, "[UNK]": 1, "cat": 2, "##s": 3, "##": 4},
        },
    }
    made = student_tokenizer(json.dumps(parts), [], often=None)
    assert json.loads(made)["truncation"] is None
    assert meanings(made) == ["", "", "cat", "s", "##"]
    # One that was added behind the vocabulary has a row as well.
    parts["added_tokens"].append({"id": 6, "content": "[QUERY]", "special": True})
    made = student_tokenizer(json.dumps(parts), [], often=None)
    assert meanings(made) == ["", "", "cat", "s", "##", "", ""]


def test_a_word_that_comes_often_gets_a_token_of_its_own(tmp_path):
    parts = {
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {"[UNK]": 0, "cat": 1, "##s": 2, "dog": 3, "##like": 4},
        },
    }
    texts = ["Cats! cats? (cats)", "catlike dogs", "dog dog dog"]
    plain, made = (student_tokenizer(json.dumps(parts), texts, often=n) for n in (None, 3))
    assert "cats" not in json.loads(plain)["model"]["vocab"]
    assert json.loads(made)["model"]["vocab"] == {**parts["model"]["vocab"], "cats": 5}
    assert meanings(made)[5] == "cats"
    (tmp_path / "tokenizer.json").write_text(made)
    assert TextTokenizer(tmp_path / "tokenizer.json").tokens_of("CATS catlike dogs") == [
        5,
        1,
        4,
        3,
        2,
    ]


# -- the teacher --------------------------------------------------------------------------------


class Counting:
    """Gives each text its length as a vector, and counts what it was given."""

    def __init__(self, stops_after=10**9):
        self.texts, self.stops_after = 0, stops_after

    def __call__(self, texts):
        if self.texts + len(texts) > self.stops_after:
            raise KeyboardInterrupt
        self.texts += len(texts)
        return np.array([[len(text), 1] for text in texts], np.float32)


TEXTS = ["x" * length for length in range(1, 1001)]


def test_an_interrupted_teacher_goes_on_and_reads_nothing_twice(tmp_path):
    first = Counting(stops_after=400)
    with pytest.raises(KeyboardInterrupt):
        teach(tmp_path, "texts", TEXTS, first, Budget(texts=900), silent)
    assert 0 < first.texts <= 400
    second = Counting()
    taught = teach(tmp_path, "texts", TEXTS, second, Budget(texts=900), silent)
    assert first.texts + second.texts == 900
    assert taught.texts == TEXTS[:900]
    assert taught.vectors[:, 0].tolist() == list(range(1, 901))
    again = Counting()
    assert teach(tmp_path, "texts", TEXTS, again, Budget(texts=900), silent).texts == TEXTS[:900]
    assert again.texts == 0


def test_no_more_than_was_asked_for_is_taken_of_what_an_interrupted_call_kept(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        teach(tmp_path, "texts", TEXTS, Counting(stops_after=400), Budget(texts=900), silent)
    taught = teach(tmp_path, "texts", TEXTS, Counting(), Budget(texts=100), silent)
    assert taught.texts == TEXTS[:100]
    assert taught.vectors[:, 0].tolist() == list(range(1, 101))


def test_what_was_kept_of_other_texts_or_is_damaged_does_not_count(tmp_path):
    teach(tmp_path, "texts", TEXTS, Counting(), Budget(texts=500), silent)
    others = [text.upper() for text in TEXTS]
    counting = Counting()
    taught = teach(tmp_path, "texts", others, counting, Budget(texts=500), silent)
    assert counting.texts == 500
    assert taught.texts == others[:500]
    (tmp_path / "texts-00001.npy").write_bytes(b"damaged")
    counting = Counting()
    taught = teach(tmp_path, "texts", others, counting, Budget(texts=500), silent)
    assert 0 < counting.texts < 500
    assert taught.vectors[:, 0].tolist() == list(range(1, 501))


def test_a_budget_of_seconds_ends_the_reading(tmp_path):
    """A batch is never cut short, so the first one is always read."""
    taught = teach(tmp_path, "texts", TEXTS, Counting(), Budget(seconds=1e-9), silent)
    assert 0 < len(taught.texts) < len(TEXTS)
    assert len(teach(tmp_path, "none", [], Counting(), Budget(seconds=1), silent).texts) == 0


def test_passages_are_spread_evenly_however_the_index_came_to_be(tmp_path, monkeypatch):
    monkeypatch.setattr("indexes.vectors.shards.MERGED_BYTES", 1)
    monkeypatch.setattr("indexes.vectors.shards.MERGED_BYTES", 1)
    documents = [Document(str(number), f"number {number}") for number in range(30)]
    with Collection.create(tmp_path / "library") as library:
        for start in range(0, 30, 7):
            library.add(documents[start : start + 7])
            library.build("index", HashingEmbedder(64))
        library.delete(["0", "11"])
        every = [f"number {number}" for number in range(30) if number not in (0, 11)]
        for most in range(1, 31):
            taken = [text for some, _ in library.embedded("index", most=most) for text in some]
            assert taken == every[:: -(-len(every) // most)]


# -- the whole ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def news(tmp_path_factory):
    """60 news documents under a teacher that a table can equal: a sum of vectors of words."""
    folder = tmp_path_factory.mktemp("news")
    with Collection.create(folder / "library") as library:
        library.add(lee().documents[:60])
        library.build("teacher", HashingEmbedder(64))
        yield library


@pytest.fixture(scope="module")
def report(news):
    return distill(news, "student", teacher="teacher", texts=500)


def test_a_teacher_that_sums_words_is_learnt(news, report):
    assert report.cosine > 0.8
    assert (report.texts, report.held_out, report.passages) == (475, 25, 60)
    assert report.path == news.path / "models" / "student"
    assert report.build.embedded == 60
    texts = [document.text for document in lee().documents[:60]]
    student = StaticEmbedder(report.path)
    together = student.encode_documents(texts) * HashingEmbedder(64).encode_documents(texts)
    assert together.sum(axis=1).mean() > 0.9


def test_the_folder_loads_without_us_and_gives_the_same_vectors(report):
    from sentence_transformers import SentenceTransformer

    texts = ["The prime minister said that rain had fallen.", "Rain!", ""]
    plain = SentenceTransformer(str(report.path), device="cpu").encode(texts[:2])
    ours = StaticEmbedder(report.path).encode_documents(texts)
    assert ours[:2] == pytest.approx(plain, abs=1e-6)
    assert not ours[2].any()


def test_the_student_asks_its_teachers_vectors_and_is_a_row_in_a_comparison(news, report):
    news.build("fast", vectors="teacher", queries_by="student")
    news.cascade("both", "student", "teacher", depth=20)
    queries = {f"q{number}": text for number, text in enumerate(general(40)[20:])}
    compared = compare(news, ["teacher", "student", "fast", "both"], queries, k=5)
    assert list(compared.rows) == ["teacher", "student", "fast", "both"]
    assert compared.rows["fast"].latency is not None
    pairs = {frozenset(pair): agreement for pair, agreement in compared.pairwise.items()}
    assert pairs[frozenset(("fast", "teacher"))].overlap > 0.5


def test_a_student_asks_no_other_vectors(news, report):
    news.build("other", HashingEmbedder(32))
    with pytest.raises(MismatchError, match="was distilled from another embedder"):
        news.build("wrong", vectors="other", queries_by="student")


def test_the_same_call_again_finds_the_student(news, report):
    again = distill(news, "student", teacher="teacher", texts=500)
    assert again.already
    assert replace(again, already=False, build=None) == replace(report, build=None)


def test_what_stands_there_is_not_written_over(news, report):
    with pytest.raises(CollectionError, match="student/ is there already"):
        distill(news, "student", teacher="teacher", texts=500, seed=2)
    with pytest.raises(CollectionError, match="Index 'teacher' is there already"):
        distill(news, "teacher", teacher="teacher", texts=500)


def test_a_precision_is_not_passed_over_where_the_student_is_there(news, report):
    with pytest.raises(InputError, match="has no precision to choose"):
        distill(news, "student", teacher="teacher", precision="float32")


def test_so_many_texts_are_read_however_long_it_takes(news):
    """The number of texts alone gives the same table on a slow machine."""
    assert Budget.of(None, None) == Budget(seconds=120.0)
    assert Budget.of(None, 500) == Budget(texts=500)
    assert Budget.of(60.0, 500) == Budget(60.0, 500)


def test_an_interrupted_distillation_comes_to_the_same_table(news, report, tmp_path, monkeypatch):
    with Collection.create(tmp_path / "library") as library:
        library.add(lee().documents[:60])
        library.build("teacher", HashingEmbedder(64))
        with monkeypatch.context() as patch:
            patch.setattr("retriever.training.word_vectors.distillation.student.fit", interrupted)
            with pytest.raises(KeyboardInterrupt):
                distill(library, "student", teacher="teacher", texts=500)
        assert [path.name for path in (library.path / "models").iterdir()] == [".student-work"]
        assert library.index_names() == ["teacher"]
        distill(library, "student", teacher="teacher", texts=500)
        assert [path.name for path in (library.path / "models").iterdir()] == ["student"]
        ours, first = (
            (one.path / "models/student/0_StaticEmbedding/model.safetensors").read_bytes()
            for one in (library, news)
        )
        assert ours == first


def interrupted(*_):
    raise KeyboardInterrupt


def test_documents_that_come_while_the_teacher_reads_are_noticed(tmp_path):
    with Collection.create(tmp_path / "library") as library:
        library.add(lee().documents[:30])
        teacher = Adding(library)
        library.build("teacher", teacher)
        library.use("teacher", teacher)
        teacher.adds = True
        with pytest.raises(CollectionError, match="changed while they were read"):
            distill(library, "student", teacher="teacher", texts=100)
        assert "student" not in [path.name for path in (library.path / "models").iterdir()]


class Adding(HashingEmbedder):
    """Somebody adds a document the moment that this one is asked."""

    def __init__(self, library):
        super().__init__(16)
        self.library, self.adds = library, False

    def encode_queries(self, texts):
        if self.adds:
            self.library.add([Document("late", "It came too late.")])
        return super().encode_queries(texts)


def test_judgments_are_of_teacher_and_student(news, report):
    queries = {"q": lee().documents[7].text[:200]}
    qrels = {"q": {lee().documents[7].doc_id: 1}}
    again = distill(news, "student", teacher="teacher", texts=500, queries=queries, qrels=qrels)
    assert again.judged.queries == 1
    assert (again.judged.teacher, again.judged.student_queries, again.judged.student) == (1, 1, 1)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"seconds": 0}, "seconds is 0; expected a number above 0"),
        ({"texts": 0}, "texts is 0; expected a whole number from 1 up"),
        ({"texts": 2.5}, "texts is 2.5; expected a whole number from 1 up"),
        ({"texts": True}, "texts is True; expected a whole number from 1 up"),
        ({"seed": -1}, "seed is -1; expected a whole number of at least 0"),
        ({"precision": "float32"}, "has no precision to choose"),
        ({"queries": {"q": "rain"}}, "belong together"),
    ],
)
def test_what_cannot_be_done_is_said(news, changed, said):
    with pytest.raises(InputError, match=said):
        distill(news, "refused", teacher="teacher", **changed)
    assert not (news.path / "models" / "refused").exists()


def test_a_teacher_must_be_there_and_have_vectors(news):
    with pytest.raises(UnknownNameError, match="No index 'nobody'"):
        distill(news, "refused", teacher="nobody")
    news.build("words", lexical=True)
    with pytest.raises(InputError, match="has no vectors of its own"):
        distill(news, "refused", teacher="words")


def test_from_the_outside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [{"_id": document.doc_id, "text": document.text} for document in lee().documents[:30]]
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "queries.jsonl").write_text('{"_id": "q", "text": "heavy rain and floods"}\n')
    (tmp_path / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq\tjudged-01\t1\n")
    judged = ("--queries", "queries.jsonl", "--qrels", "qrels.tsv")
    commands = (
        ("add", "library", "corpus.jsonl"),
        ("build", "library", "teacher", "--embedder", "hashing", "-o", "dim", "32"),
        ("distill", "library", "student", "--teacher", "teacher", "--texts", "300", *judged),
        ("build", "library", "fast", "--vectors", "teacher", "--queries-by", "student"),
        ("compare", "library", *judged, "--json"),
    )
    done = [invoke(*command) for command in commands]
    assert [one.exit_code for one in done] == [0] * 5, [one.output for one in done]
    told = done[2].stdout.splitlines()
    assert told[0].startswith(
        "student: learned from 285 sentences and 30 vectors of teacher, encoded"
    )
    assert told[2:4] == ["index student: 30 passages embedded", "nDCG@10 over 1 query:"]
    assert [line.split("%  ")[1] for line in told[4:]] == [
        "teacher itself",
        "student's queries over teacher's vectors",
        "student on both sides",
    ]
    rows = [json.loads(line) for line in done[4].stdout.splitlines()]
    assert [row["name"] for row in rows[:3]] == ["teacher", "student", "fast"]
    refused = invoke("distill", "library", "x", "--teacher", "teacher", "--qrels", "qrels.tsv")
    assert (refused.exit_code, "Give both --queries and --qrels" in refused.stderr) == (2, True)
