"""A weighting chosen on the corpus: by queries made from it, the same each time, and kept."""

import json

import numpy as np
import pytest

from indexes.errors import DamageError, InputError
from retriever import Collection, Document, StaticEmbedder
from retriever.document_queries.drawing import in_rounds, queries_by_kind
from retriever.embedders.static import choosing
from retriever.embedders.static.choosing import Choice, choose, spread, variants
from retriever.embedders.static.options import StaticOptions
from tests.support.commands import fail, succeed
from tests.support.toy import refused

# One axis a topic, and one that frequent words share.
TOPICS, WIDTH = 40, 48


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    """Write vectors of topic words, and of common words that point elsewhere and are far longer."""
    random = np.random.default_rng(3)
    lines = []
    for number in range(30):
        row = random.normal(0, 1, WIDTH) + 6 * np.eye(WIDTH)[-1]
        lines.append(f"common{letters(number)} " + " ".join(f"{one:.4f}" for one in row))
    for topic in range(TOPICS):
        for word in range(6):
            row = np.eye(WIDTH)[topic] + random.normal(0, 0.1, WIDTH)
            lines.append(
                f"topic{letters(topic)}{letters(word)} " + " ".join(f"{x:.4f}" for x in row)
            )
    path = tmp_path_factory.mktemp("vectors") / "topics.vec"
    path.write_text("\n".join(lines) + "\n")
    return path


def letters(number):
    return "abcdefghij"[number // 10] + "abcdefghij"[number % 10]


def corpus():
    """Make two documents of each topic, half of their words common ones."""
    random = np.random.default_rng(4)

    def sentence(topic):
        own = [f"topic{letters(topic)}{letters(word)}" for word in random.choice(6, 3)]
        others = [f"common{letters(word)}" for word in random.choice(30, 6)]
        return " ".join(random.permutation([*own, *others]).tolist()).capitalize() + "."

    return [
        Document(
            str(topic), " ".join(sentence(topic) for _ in range(4)), title=sentence(topic)[:-1]
        )
        for topic in range(TOPICS)
    ]


def test_a_weighting_that_lowers_common_words_is_chosen_over_the_plain_mean(vectors):
    choice = choose(corpus(), StaticEmbedder(vectors)._vocabulary)
    assert choice.options.weighting != "mean" or choice.options.changes_words
    assert choice.plain < 0.5 < choice.value <= choice.best
    assert (choice.queries, choice.variants) == (120, len(list(variants(WIDTH))))
    assert choice == choose(corpus(), StaticEmbedder(vectors)._vocabulary)
    assert Choice.of_json(json.loads(json.dumps(choice.as_json()))) == choice


def test_the_variants_are_all_of_the_benchmark_and_those_with_a_floor():
    some = list(variants(50))
    # 4 weightings x unit_words x (3 all_but_top, conceptor) x 3 components, and a floor for three
    # of the four.
    assert len(some) == len(set(some)) == 96 + 72
    assert all(one.all_but_top < 4 > one.removed for one in variants(4))


@pytest.mark.parametrize("removal", [{"all_but_top": 3}, {"conceptor": True}])
def test_reciprocal_ranks_are_those_of_a_search_without_the_document(vectors, removal):
    """One by one: each query against all documents, with the rest in place of its own."""
    documents = corpus()
    options = {"weighting": "idf", "components": 1, **removal}
    embedder = StaticEmbedder(vectors, **options)
    items = choosing._items(documents, embedder._vocabulary)
    found = dict(choosing._values(items, embedder._vocabulary))[StaticOptions(**options)]
    texts = [f"{one.title} {one.text}" for one in documents]
    fitted = embedder.fitted(texts)
    index = fitted.encode_documents(texts)
    random = np.random.default_rng(choosing.SEED).permutation(TOPICS).tolist()
    drawn = queries_by_kind([documents[place] for place in random], choosing.KINDS, {}, TOPICS)
    expected = []
    for doc_id, query, rest, _ in in_rounds(list(drawn), 1_000):
        others = index.copy()
        others[int(doc_id)] = fitted.encode_documents([rest])[0]
        scores = others @ fitted.encode_queries([query])[0]
        expected.append(1 / (1 + (scores > scores[int(doc_id)]).sum()))
    assert len(found) == 120
    assert found.tolist() == expected


def test_a_variant_within_a_standard_error_leaves_the_recommended_one(monkeypatch, vectors):
    best, recommended = StaticOptions("sif", 1), choosing.RECOMMENDED
    random = np.random.default_rng(5)
    noise = random.random(100)
    worse = dict.fromkeys(variants(WIDTH), noise / 2)
    vocabulary = StaticEmbedder(vectors)._vocabulary

    def chosen(gain):
        values = {**worse, recommended: noise, best: noise + gain}
        monkeypatch.setattr(choosing, "_values", lambda *_: values.items())
        return choose(corpus(), vocabulary).options

    # Up in half of the queries and down in others, against up in all.
    assert chosen(np.where(np.arange(100) % 2, 0.3, -0.28)) == recommended
    assert chosen(0.05 + 0.01 * noise) == best


def test_documents_that_give_no_query_get_the_recommended_options(vectors):
    choice = choose([Document("a", "topicaaaa")], StaticEmbedder(vectors)._vocabulary)
    assert choice == Choice(choosing.RECOMMENDED)
    assert "give no queries" in str(choice)


def test_documents_are_sampled_evenly():
    documents = [Document(str(n), "text" if n != 3 else "") for n in range(20)]
    assert [one.doc_id for one in spread(documents, 100)] == [str(n) for n in range(20) if n != 3]
    few = [int(one.doc_id) for one in spread(documents, 5)]
    assert len(few) == 5
    assert few == sorted(few)


def test_the_vectors_and_the_fingerprint_are_those_of_the_chosen_options(tmp_path, vectors):
    auto = StaticEmbedder(vectors, weighting="auto")
    refused(InputError, "is chosen on a corpus", auto.encode_documents, ["topicaaaa"])
    with Collection.create(tmp_path / "library") as library:
        library.add(corpus())
        report = library.build("auto", auto)
        assert any("weighting auto is" in note for note in report.notes)
        built = library.embedder("auto")
        library.build("named", StaticEmbedder(vectors, **built.chosen.chosen()))
        named = library.embedder("named")
        assert built.fingerprint == named.fingerprint
        texts = ["topicaaaa commonaa", "topicbbaa"]
        assert np.array_equal(built.encode_documents(texts), named.encode_documents(texts))
        info = library.index_info("auto")
        assert (info.options, info.chosen) == ({"weighting": "auto"}, str(built.chosen))
    with Collection.open(tmp_path / "library") as library:
        # The choice is stored, and the same call again finds it.
        again = library.embedder("auto")
        assert (again.chosen, again.fingerprint) == (built.chosen, built.fingerprint)
        assert library.build("auto", StaticEmbedder(vectors, weighting="auto")).embedded == 0
        library.build("auto", refit=True)
        assert library.embedder("auto").chosen == built.chosen


def test_a_fit_without_a_choice_is_not_taken_for_one(vectors):
    texts = [document.text for document in corpus()]
    plain = StaticEmbedder(vectors, weighting="idf").fitted(texts)
    auto = StaticEmbedder(vectors, weighting="auto")
    refused(DamageError, "fitted for other options", auto.with_parameters, plain.parameters)
    chosen = auto.fitted(texts)
    assert auto.with_parameters(chosen.parameters).fingerprint == chosen.fingerprint


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"all_but_top": 2}, {"conceptor": True}),
        ({"conceptor": True}, {"all_but_top": 2}),
        ({"all_but_top": 2}, {"all_but_top": 1}),
        ({"components": 2}, {"components": 1}),
    ],
)
def test_a_fit_of_one_removal_is_not_taken_for_one_of_another(vectors, one, other):
    texts = [document.text for document in corpus()]
    fitted = StaticEmbedder(vectors, **one).fitted(texts)
    parameters, differs = fitted.parameters, StaticEmbedder(vectors, **other)
    refused(DamageError, "fitted for other options", differs.with_parameters, parameters)
    again = StaticEmbedder(vectors, **one).with_parameters(parameters)
    assert again.fingerprint == fitted.fingerprint


def test_a_word_is_no_rarer_than_its_rank_says_with_a_floor(vectors):
    """By hand: the first of the file is absent from the texts, yet common by its rank."""
    texts = ["topicaaaa topicaaab"] * 2 + ["topicabaa topicaaab"] * 2
    with_floor, without = (
        StaticEmbedder(vectors, weighting="idf", rank_floor=floor).fitted(texts)._averages._weights
        for floor in (True, False)
    )
    rank = 1 / (np.arange(1, len(with_floor) + 1) + 2.7)
    p = (rank / rank.sum())[0]
    # Texts of 2 words have it with 1 - (1 - p)^2, if words come as their ranks say.
    expected = max(4 * (1 - (1 - p) ** 2), 0)
    assert with_floor[0] == pytest.approx(np.log(5 / max(expected, 1)), rel=1e-5)
    assert without[0] == pytest.approx(np.log(5))
    rare = StaticEmbedder(vectors)._vocabulary.vectors.shape[0] - 1
    assert with_floor[rare] == without[rare] == pytest.approx(np.log(5))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weighting": "auto", "all_but_top": 3}, "chooses all_but_top itself"),
        ({"weighting": "auto", "components": 0}, "chooses components itself"),
        ({"weighting": "auto", "conceptor": True}, "chooses conceptor itself"),
        ({"conceptor": 1}, "conceptor is 1; expected True or False"),
        ({"conceptor": True, "all_but_top": 1}, "takes the place of all_but_top"),
        ({"rank_floor": True}, "'mean' has none"),
        ({"weighting": "idf", "rank_floor": 1}, "rank_floor is 1; expected True or False"),
        ({"weighting": "best"}, "It can be: mean, idf, sif, usif, auto"),
    ],
)
def test_wrong_options_are_refused(vectors, options, message):
    refused(InputError, message, StaticEmbedder, vectors, **options)


def test_the_command_says_what_was_chosen_and_by_how_much(tmp_path, monkeypatch, vectors):
    monkeypatch.chdir(tmp_path)
    lines = [{"_id": one.doc_id, "title": one.title, "text": one.text} for one in corpus()]
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    succeed("add", "library", "corpus.jsonl")
    build = ("build", "library", "auto", "--embedder", f"static:{vectors}", "-o", "weighting")
    succeed(*build, "auto")
    assert "chosen on the corpus" in succeed("info", "library")
    assert "chooses all_but_top itself" in fail(*build, "auto", "-o", "all_but_top", "2")
