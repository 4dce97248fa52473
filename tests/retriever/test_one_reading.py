"""One reading of texts: the same words for every system, whatever a text's bytes and script."""

import json
import unicodedata
from dataclasses import replace

import numpy as np
import pytest

from retriever import (
    Collection,
    ContextualEmbedder,
    Document,
    HashingEmbedder,
    Sentences,
    StaticEmbedder,
    Words,
    compare,
    read_queries,
)
from retriever.formats import read_qrels
from retriever.training.distillation.training_texts import titles_and_sentences
from tests.support.toy import ids

WIDE = {ord(letter): ord(letter) + 0xFEE0 for letter in "abcdefghijklmnopqrstuvwxyzMNOP0123"}


def documents_of(folder):
    """The documents of a collection with BEIR's layout."""
    with (folder / "corpus.jsonl").open() as lines:
        parts = map(json.loads, lines)
        return [Document(one["_id"], one["text"], title=one["title"]) for one in parts]


def hyphenated(word):
    return "\u00ad".join(word[at : at + 4] for at in range(0, len(word), 4)) if word[7:] else word


FORMS = {
    "soft hyphens": lambda text: " ".join(map(hyphenated, text.split(" "))),
    "byte-order marks": lambda text: "\ufeff" + text.replace("e", "e\u2060"),
    "ligatures": lambda text: text.replace("fi", "ﬁ").replace("fl", "ﬂ"),
    "full-width letters": lambda text: text.translate(WIDE),
    "decomposed": lambda text: unicodedata.normalize("NFD", text),
}


def rewritten(documents, form):
    return [Document(one.doc_id, form(one.text), title=form(one.title)) for one in documents]


def indexed(folder, documents, embedders):
    library = Collection.create(folder)
    library.add(documents)
    library.build("bm25", lexical=True)
    for embedder in embedders:
        library.build(embedder.name, embedder)
    return library


def answers(library, queries):
    """Return each index's hits for each query, with scores to five decimals."""
    return {
        name: [
            [(hit.doc_id, round(hit.score, 5)) for hit in hits]
            for hits in library.search_many(queries, index=name, k=10)
        ]
        for name in library.index_names()
    }


@pytest.fixture(scope="module")
def adi(data, tmp_path_factory):
    """Some documents and queries with accents, the embedders, and their plain index."""
    documents = documents_of(data / "adi")[:12]
    documents.append(Document("naïve", "Zoë's naïve café: the über-large Ångström of a find"))
    queries = [*list(read_queries(data / "adi" / "queries.jsonl").values())[:6], "naïve café zoë"]
    minilm = ContextualEmbedder("all-MiniLM-L6-v2", runtime="torch")
    embedders = [HashingEmbedder(), StaticEmbedder("glove-6b-50d"), minilm]
    library = indexed(tmp_path_factory.mktemp("adi") / "plain", documents, embedders)
    return documents, queries, embedders, library


@pytest.mark.model
@pytest.mark.parametrize("form", FORMS)
def test_every_system_answers_texts_that_look_equal_alike(adi, tmp_path, form):
    documents, queries, embedders, library = adi
    expected = answers(library, queries)
    assert answers(library, [FORMS[form](text) for text in queries]) == expected
    other = indexed(tmp_path / "other", rewritten(documents, FORMS[form]), embedders)
    assert answers(other, queries) == expected


def cranfield_values(data, place, form):
    """Return the nDCG@10 of each index of Cranfield in a form."""
    folder = data / "cranfield"
    queries = read_queries(folder / "queries.jsonl")
    qrels = read_qrels(folder / "qrels" / "test.tsv")
    texts = rewritten(documents_of(folder), form)
    with indexed(place, texts, [StaticEmbedder("glove-6b-50d")]) as library:
        made = compare(library, library.index_names(), queries, qrels, measures=["nDCG@10"])
    return {name: round(row["nDCG@10"], 4) for name, row in made.rows.items()}


@pytest.fixture(scope="module")
def plain_cranfield(data, tmp_path_factory):
    return cranfield_values(data, tmp_path_factory.mktemp("plain") / "c", lambda text: text)


@pytest.mark.model
@pytest.mark.parametrize("form", ["soft hyphens", "ligatures", "full-width letters"])
def test_cranfield_has_its_quality_in_any_form(data, tmp_path, plain_cranfield, form):
    assert cranfield_values(data, tmp_path / "c", FORMS[form]) == plain_cranfield


class Tokens:
    """An engine that keeps the tokens of each text, in order, and makes no vectors of them."""

    runtime, precision, budget = "onnx", "float32", 1

    def __init__(self):
        self.read = []

    def embed_all(self, batches, skipped=0):
        for batch in sorted(batches, key=lambda one: one.places[0]):
            self.read.append(batch.ids.tolist())
            yield batch, np.zeros((1, 384), np.float32)


@pytest.mark.model
def test_minilm_reads_the_same_tokens_of_cranfield_in_any_form(data):
    minilm = ContextualEmbedder("all-MiniLM-L6-v2", runtime="onnx")
    documents = documents_of(data / "cranfield")[::9]
    texts = [f"{one.title} {one.text}" for one in documents]
    texts += read_queries(data / "cranfield" / "queries.jsonl").values()
    read = {}
    for name, form in {"plain": str, **FORMS}.items():
        engine = Tokens()
        minilm._texts = replace(minilm._texts, opened=replace(minilm._opened, engine=engine))
        minilm.encode_documents([form(text) for text in texts])
        read[name] = engine.read
    assert len(read["plain"]) > 350
    assert all(tokens == read["plain"] for tokens in read.values())


# A few documents in scripts without spaces, and in Korean: a word of the first one is in no other.
SCRIPTS = {
    "Chinese": (
        ["我在中国银行存了钱。利率很低。", "飞机购买水果，老师使用票。", "河边的柳树开始发芽。"],
        *("银行", "中国 1 0 0\n银行 0 1 0\n飞机 0 0 1\n"),
    ),
    "Japanese": (
        ["東京の銀行に預金した。金利は低い。", "先生は切符を買った。", "川のほとりを歩く。"],
        *("銀行", "東京 1 0 0\n銀行 0 1 0\n先生 0 0 1\n"),
    ),
    "Thai": (
        ["ฉันฝากเงินที่ธนาคารแห่งชาติ ดอกเบี้ยต่ำ", "ครูซื้อตั๋วเครื่องบิน", "เดินเล่นริมแม่น้ำ"],
        *("ธนาคาร", "ชาติ 1 0 0\nธนาคาร 0 1 0\nครู 0 0 1\n"),
    ),
    "Korean": (
        ["서울은행에 돈을 맡겼다. 금리가 낮다.", "선생님은 표를 샀다.", "강가를 걷는다."],
        *("서울", "금리 1 0 0\n서울 0 1 0\n선생 0 0 1\n"),
    ),
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_words_are_found_in_scripts_without_spaces(collection, tmp_path, script):
    texts, word, vectors = SCRIPTS[script]
    (tmp_path / "words.txt").write_text(vectors)
    collection.add(Document(str(n), text) for n, text in enumerate(texts))
    collection.build("bm25", lexical=True)
    static = StaticEmbedder(tmp_path / "words.txt")
    collection.build("static", static)
    collection.build("hashing", HashingEmbedder())
    assert ids(collection.search(word, index="bm25")) == ["0"]
    assert ids(collection.search(word, index="hashing"))[0] == "0"
    hits = collection.search(word, index="static")
    assert (ids(hits)[0], hits.notes) == ("0", ())
    # Alone, the word is known; in its clause it is cut out of a run.
    assert static.coverage([word]) == 1.0
    assert static.encode_documents([texts[0]])[0] @ static.encode_queries([word])[0] > 0.5
    # Only the first character of a word is no word of another document.
    assert ids(collection.search("xyz", index="bm25")) == []


@pytest.mark.parametrize("script", SCRIPTS)
def test_long_texts_in_scripts_without_spaces_are_split(script):
    text = SCRIPTS[script][0][0] * 30
    for splitter in (Words(20, overlap=5), Sentences(20)):
        spans = splitter.spans(text)
        assert len(spans) >= 7
        assert max(end - begin for begin, end in spans) < 120
        assert (spans[0][0], spans[-1][1]) == (0, len(text))


@pytest.mark.parametrize("script", SCRIPTS)
def test_distillation_finds_the_sentences_of_a_script_without_spaces(script):
    texts = [Document(str(n), text) for n, text in enumerate(SCRIPTS[script][0])]
    found = titles_and_sentences(texts)
    # Korean has spaces: its words count as elsewhere, and a sentence of two is too short.
    assert len(found) == (2 if script == "Korean" else 4)


def test_a_korean_particle_does_not_hide_a_noun(collection):
    collection.add([Document("a", "서울은 크다"), Document("b", "부산은 멀다")])
    collection.build("bm25", lexical=True)
    assert ids(collection.search("서울", index="bm25")) == ["a"]
    assert ids(collection.search("서울이", index="bm25")) == ["a"]
