"""Words in context: occurrences, sentences, the cache, senses, the command."""

import hashlib
import json
import re
from pathlib import Path

import click
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes.errors import InputError, ModelNotAvailableError, UnknownNameError
from indexes.text.compounds import Compounds
from indexes.text.entry_spans import entry_spans
from indexes.text.words import fold_with_origins, word_spans
from retriever import Collection, ContextualEmbedder, Document, HashingEmbedder, StaticEmbedder
from retriever.embedders.base import WordEncoding, WordVectors, fingerprint_of, unit
from retriever.report.terminal.word_senses import sense_lines
from retriever.splitting import Words
from retriever.word_senses import occurrences
from retriever.word_senses.clusters import cluster_vectors, silhouette
from retriever.word_senses.collocates import log_likelihood, typical_words
from retriever.word_senses.contexts import context_of
from retriever.word_senses.occurrences import evenly, find_occurrences, places_of
from retriever.word_senses.results import OccurrenceCounts
from tests.support.commands import fail, invoke, misuse
from tests.support.sources.records import write
from tests.support.toy import ids, lacks, refused

RIVER = [
    "The children skipped stones from the bank of the river.",
    "Willows grow along the muddy bank where the stream bends.",
    "The fisherman sat on the grassy bank and cast his line into the water.",
    "After the flood the river had carved away its left bank.",
    "Otters slid down the steep bank into the current.",
    "We tied the canoe to a tree on the opposite bank.",
    "Reeds and rushes covered the bank of the slow brook.",
    "The hikers camped on the bank and listened to the rapids.",
    "A heron stood motionless on the bank of the lagoon.",
    "Waves from the barge washed against the bank of the canal.",
    "The deer came down to the bank at dusk to drink.",
    "Erosion of the bank threatens the footpath beside the creek.",
]
MONEY = [
    "The bank raised the interest rate on its savings accounts.",
    "She deposited her salary at the bank on Friday.",
    "The bank refused to lend the company any more money.",
    "He opened a checking account with a bank in the city.",
    "Regulators fined the bank for hiding losses from investors.",
    "The central bank cut rates to fight the recession.",
    "A bank may sell the mortgage to another lender.",
    "Thieves robbed the bank and escaped with the cash.",
    "The bank charges a fee for every overdraft.",
    "Shares of the bank fell after it reported bad loans.",
    "My bank sent me a new credit card and a statement.",
    "The merchant borrowed capital from the bank to pay his debts.",
]
RIVERS = [f"The bank of the river number {n}." for n in range(5)]
COINS = [f"Some money is in bank {n}." for n in range(4)]
TABLE = "bank 1 0\nBank 0 1\nshore 2 1\nmoney 1 1\nnone 0 0\n"


class Topics:
    """An embedder with an axis for each topic in a word's text; in layer 0, all words are equal.

    It reads 20 words of a text.
    """

    layers, dim, name = 1, 3, "topics"
    topics = ("river", "money")

    def __init__(self, fail_after=None):
        self.fingerprint = fingerprint_of(kind="topics", topics=self.topics)
        self.seen, self.fail_after = [], fail_after

    def encode_documents(self, texts):
        return np.stack([self._of(text) for text in texts])

    encode_queries = encode_documents

    def encode_words(self, texts, *, layer=None, pieces="mean", spans=None):
        self.seen += texts
        if self.fail_after is not None and len(self.seen) > self.fail_after:
            raise KeyboardInterrupt
        spans = spans or [word_spans(text)[:20] for text in texts]
        return [self._words(*pair, layer) for pair in zip(texts, spans, strict=True)]

    def _words(self, text, spans, layer):
        vector = np.array([0, 0, 1], np.float32) if layer == 0 else self._of(text)
        return WordVectors(tuple(spans), np.repeat(vector[None], len(spans), axis=0))

    def _of(self, text):
        counts = [text.lower().split().count(topic) for topic in self.topics]
        # Makes the vector of every text different.
        own = int(hashlib.sha256(text.encode()).hexdigest()[:4], 16) / 0xFFFF / 10
        return unit(np.array([[*counts, 0.5 + own]], np.float32))[0]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The folder of cached words, in a separate cache."""
    monkeypatch.setenv("RETRIEVER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "words" / "in-context"


def add(collection, *documents, **texts):
    """Add documents, or texts of a kind with numbers as ids, and index their words."""
    of_kinds = ((f"{kind}{n}", text) for kind, some in texts.items() for n, text in enumerate(some))
    collection.add([*documents, *(Document(*one) for one in of_kinds)])
    collection.build("words", lexical=True)


@pytest.fixture
def shop(collection, cache):
    """Rivers and money, an index of words and the toy embedder over them."""
    rivers, coins = ([f"{text} Nothing." for text in texts] for texts in (RIVERS, COINS))
    add(collection, r=rivers, m=coins)
    collection.toy = Topics()
    collection.build("toy", collection.toy)
    return collection


@pytest.mark.parametrize(
    ("word", "text", "places"),
    [
        ("bank", "Bank, banks; the BANK's bank", [(0, 4), (17, 21), (24, 28)]),
        ("Bank", "bank-bank_bank", [(0, 4), (5, 9), (10, 14)]),
        ("é", "é e\u0301 É éé", [(0, 1), (2, 4), (5, 6)]),
        ("finance", "fi\u00adnance ﬁnance\u00ad Ｆinance", [(0, 8), (9, 15), (17, 24)]),
        ("οδος", "ΟΔΟΣ", [(0, 4)]),
        ("银行", "中国银行很大。银行", [(2, 4), (7, 9)]),
        ("서울", "서울은 서울", [(0, 2), (4, 6)]),
        ("ไทย", "ภาษาไทย", [(4, 7)]),
        ("e", "e\u0301 e", [(3, 4)]),  # A letter with a mark is another word.
        ("10", "10 COVID-10 101 10.5", [(0, 2), (9, 11), (16, 18)]),
        ("aa", "aaa aa", [(4, 6)]),
        ("bank", "", []),
    ],
)
def test_places_by_eye(word, text, places):
    assert places_of(word, text) == places


ENTRIES = "c 1 0\nc++ 0 1\nc# 2 1\nu.s. 1 1\nu.s 1 2\n.net 1 3\nrust 1 4\nthe 2 2\n"


@pytest.fixture
def entries(tmp_path):
    return StaticEmbedder(write(tmp_path / "entries.txt", ENTRIES))


@pytest.mark.parametrize(
    ("word", "text", "places"),
    [
        ("c++", "C++ is c++, not c, c+++x or c++x.", [(0, 3), (7, 10), (19, 22)]),
        ("C++", "(Ｃ++) c\u00ad++", [(1, 4), (6, 10)]),
        ("u.s.", "The U.S. u.s. u s us.", [(4, 8), (9, 13)]),
        (".net", "Use .NET, asp.net", [(4, 8)]),
    ],
)
def test_places_of_entries_with_separators_by_eye(entries, word, text, places):
    assert places_of(word, text, entries.compounds) == places


@given(st.text(st.sampled_from("cC+#. uUsS-x\u00ad\u0301Ｃ(")))
def test_entries_are_found_where_static_vectors_read_them(text):
    known = {"c", "c++", "c#", "u.s", "u.s.", ".s", "x"}
    rows = {name: row for row, name in enumerate(sorted(known))}
    names = sorted(known)
    compounds = Compounds(
        lambda: [name for name in names if not name.isalnum()],
        lambda word: rows.get(word, -1),
        names.__getitem__,
        lower=True,
    )
    read = [word for word in compounds.words_of(text) if word in known and not word.isalnum()]
    found = list(entry_spans(text, compounds))
    assert [entry for entry, _, _ in found] == read
    for entry, begin, end in found:
        assert fold_with_origins(text[begin:end])[0] == entry


def test_a_word_may_be_an_entry_of_the_static_index(collection, cache, entries):
    add(collection, r=["C++ runs by the river.", "c, c and c"], m=["We sell c++ for money.", "c#"])
    collection.build("entries", entries)
    collection.build("toy", Topics())
    found = collection.word("c++", senses=2)
    assert (found.word, found.found) == ("c++", OccurrenceCounts(2, 2, 4, 4))
    assert [use.text[slice(*use.span)] for sense in found.senses for use in sense.passages] == [
        "C++",
        "c++",
    ]
    assert found.neighbors[0].word == "rust"
    assert found.notes == ()
    uses = collection.word_in("C++", "A river of C++, they say.")
    assert [use.doc_id for use in uses.uses] == ["r0", "m0"]
    refused(InputError, "or an entry of the static index, such as c", collection.word, "x++")
    refused(InputError, "is not a word of 'only c'", collection.word_in, "c++", "only c")


@given(st.text(st.sampled_from("aAbİıßẞéE\u0301 -_1")), st.sampled_from(["a", "ab", "İ", "ß", "é"]))
def test_places_are_those_of_equal_words(text, word):
    found = ((span, fold_with_origins(text[slice(*span)])[0]) for span in word_spans(text))
    wanted = fold_with_origins(word)[0]
    assert places_of(word, text) == [span for span, one in found if one == wanted]


def test_occurrences_are_chosen_evenly():
    found = [evenly(*counts).tolist() for counts in ((3, 5), (10, 5), (7, 3), (0, 3))]
    assert found == [[0, 1, 2], [0, 2, 4, 6, 8], [0, 2, 4], []]


WORDS = [f"w{n}" for n in range(200)]


def context(text, word):
    return text[slice(*context_of(text, *places_of(word, text)[0]))]


@pytest.mark.parametrize(
    ("text", "word", "expected"),
    [
        ("One. The bank is here. Two.", "bank", "The bank is here."),
        ("A title\n\nThe bank\nof 3.14!  More.", "bank", "The bank\nof 3.14!"),
        ("  bank  ", "bank", "bank"),
        # 30 words before, 29 after; fewer at an end.
        (" ".join(WORDS), "w100", " ".join(WORDS[70:130])),
        (" ".join(WORDS), "w3", " ".join(WORDS[:60])),
        (" ".join(WORDS), "w198", " ".join(WORDS[140:])),
        # 60 words are not cut.
        (" ".join(WORDS[:60]), "w59", " ".join(WORDS[:60])),
        # Not from the middle of a word.
        ("x" * 600 + " ab bank cd " + "y" * 700, "bank", "ab bank cd"),
        # A long document is not read entirely.
        ("Deep water. " * 40_000 + "A bank is. " + "And so on. " * 20_000, "bank", "A bank is."),
    ],
    ids=range(9),
)
def test_contexts_by_eye(text, word, expected):
    assert context(text, word) == expected


def test_contexts_without_spaces_and_sentences_are_short():
    assert len(context("東" * 5_000 + "。bank。" + "京" * 5_000, "bank")) <= 2 * 600 + 4


@settings(deadline=None)
@given(st.text(st.sampled_from('ab. \n!"?\u2028\x1c(\u0301東'), max_size=200), st.data())
def test_a_context_has_its_word(text, data):
    spans = word_spans(text)
    if not spans:
        return
    begin, end = data.draw(st.sampled_from(spans))
    first, last = context_of(text, begin, end)
    assert 0 <= first <= begin < end <= last <= len(text)
    assert text[first:last] == text[first:last].strip()
    assert len(text[first:last].split()) <= 60


def test_occurrences_are_those_of_the_exact_word(collection):
    add(
        collection,
        Document("a", "Banks are closed. My BANK is open; a bank is.", title="The bank"),
        Document("b", "The embankment is high."),
        Document("c", "banking, bankers", title="Banks"),
        Document("d", "A bank."),
    )
    collection.delete(["d"])
    collection.add([Document("e", "bank not read yet")])
    found = find_occurrences(collection._store, "bank", 10)
    assert [(one.doc_id, one.text, one.span, one.written) for one in found.chosen] == [
        ("a", "The bank", (4, 8), "bank"),
        ("a", "My BANK is open; a bank is.", (3, 7), "BANK"),
        ("a", "My BANK is open; a bank is.", (19, 23), "bank"),
    ]
    # The stemmer maps banks and banking to bank, but not bankers.
    assert found.found == OccurrenceCounts(used=3, occurrences=3, read=2, passages=2)
    assert found.notes == (lacks(collection, "words", 1),)


def test_passages_that_overlap_share_their_occurrences(tmp_path):
    text = "one two bank three four five bank six"
    with Collection.create(tmp_path / "split", split=Words(4, overlap=2)) as collection:
        add(collection, Document("a", text, title="bank"))
        found = find_occurrences(collection._store, "bank", 10)
    places = sorted((one.text, one.span) for one in found.chosen)
    assert places == [("bank", (0, 4)), (text, (8, 12)), (text, (29, 33))]
    assert found.found.passages == 3


def test_chosen_occurrences_are_spread_over_the_corpus(collection, monkeypatch):
    add(collection, *(Document(f"{n:03}", f"bank {n}") for n in range(200)))
    for read in (200, 20):
        monkeypatch.setattr(occurrences, "READ", read)
        found = find_occurrences(collection._store, "bank", 4)
        assert [one.doc_id for one in found.chosen] == ["000", "050", "100", "150"]
        assert found.found == OccurrenceCounts(4, read, read, 200)
    collection.build("toy", Topics())
    assert "20 of 200 passages were read, evenly spread." in collection.word("bank").notes


def test_a_word_longer_than_those_of_the_index_is_refused(collection):
    word, shorter = "x" * 300, "y" * 254
    add(collection, Document("a", f"{word} bank"), Document("b", shorter))
    why = r"'x{20}\.\.\.' has 300 bytes; index 'words' holds"
    refused(InputError, why, find_occurrences, collection._store, word, 10)
    assert find_occurrences(collection._store, shorter, 10).found.used == 1


def clouds(*sizes, width=0.1, seed=0, dim=20):
    """Draw points around orthogonal directions, as many per direction as the sizes say."""
    generator = np.random.default_rng(seed)
    noise = generator.normal(size=(sum(sizes), dim))
    return (np.repeat(np.eye(dim)[: len(sizes)], sizes, axis=0) + width * noise).astype(np.float32)


def test_clusters_by_eye():
    found = cluster_vectors(clouds(8, 20))
    assert (found.labels.tolist(), found.count) == ([1] * 8 + [0] * 20, 2)
    assert found.silhouette > 0.5
    assert cluster_vectors(clouds(12, 10, 8)).labels.tolist() == [0] * 12 + [1] * 10 + [2] * 8
    # As many as wanted, but not more than distinct rows.
    assert [cluster_vectors(clouds(12, 10, 8), wanted).count for wanted in (1, 2, 5)] == [1, 2, 5]
    assert cluster_vectors(np.repeat(np.eye(3, 5, dtype=np.float32), 4, axis=0), 5).count == 3


def test_one_cloud_is_one_sense():
    drawn = [clouds(size, seed=seed) for size in (6, 40) for seed in range(10)]
    # By chance, one draw in twenty looks like several.
    assert sum(cluster_vectors(cloud).count > 1 for cloud in drawn) <= 2
    # An elongated cloud is one sense, too.
    long = clouds(60, seed=3) + np.random.default_rng(4).normal(size=(60, 1)) * np.eye(20)[1] / 4
    assert cluster_vectors(long.astype(np.float32)).count == 1


def test_few_or_equal_rows_are_one_cluster():
    for rows in (0, 1, 2, 5):
        found = cluster_vectors(np.eye(6, dtype=np.float32)[:rows])
        assert (found.labels.tolist(), found.silhouette) == ([0] * rows, None)
    assert cluster_vectors(np.ones((9, 4), np.float32)).count == 1


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 99), scale=st.sampled_from([0.01, 7.0]))
def test_neither_order_nor_length_changes_clusters(seed, scale):
    vectors, order = clouds(9, 14, 11, seed=seed), np.random.default_rng(seed).permutation(34)
    expected = cluster_vectors(vectors).labels[order]
    assert (cluster_vectors(scale * vectors[order]).labels == expected).all()


def test_the_silhouette_by_hand():
    points = np.array([0.0, 1, 10, 11])
    distances = abs(points[:, None] - points)
    # The outer points: 1 from their cluster, 10.5 from the other; the inner ones: 1 and 9.5.
    expected = (9.5 / 10.5 + 8.5 / 9.5) / 2
    assert silhouette(distances, np.array([0, 0, 1, 1])) == pytest.approx(expected)
    # The only point of a cluster counts 0.
    assert silhouette(distances[:3, :3], np.array([0, 0, 1])) == pytest.approx((9 / 10 + 8 / 9) / 3)
    assert silhouette(np.zeros((4, 4)), np.array([0, 0, 1, 1])) == 0


def test_the_silhouette_is_that_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    points = clouds(9, 5, 30, width=0.6).astype(np.float64)
    labels = np.random.default_rng(1).permutation(np.arange(44) % 3)
    distances = np.linalg.norm(points[:, None] - points, axis=2)
    assert silhouette(distances, labels) == pytest.approx(metrics.silhouette_score(points, labels))


@settings(deadline=None)
@given(st.integers(0, 9), st.integers(10, 20), st.integers(1, 9), st.integers(10, 20))
def test_the_log_likelihood_is_that_of_scipy(here, size, there, others):
    from scipy.stats import chi2_contingency

    table = [[here, size - here], [there, others - there]]
    expected = chi2_contingency(table, correction=False, lambda_="log-likelihood").statistic
    assert log_likelihood(here, size, there, others) == pytest.approx(expected, abs=1e-9)


def test_collocates_by_eye():
    rivers = ["The Bank river water", "bank river deep water", "bank River the"]
    coins = ["the bank money", "bank money lend", "bank money deep", "bank lend the"]
    labels = np.array([0, 0, 0, 1, 1, 1, 1])
    # river and money are in most contexts of one sense and in none of the other; deep is in both.
    assert typical_words(rivers + coins, labels, "bank", 5) == [("river", "water"), ("money",)]
    assert typical_words(rivers + coins, labels, "bank", 1) == [("river",), ("money",)]
    # A single sense has none.
    assert typical_words(rivers + coins, np.zeros(7, np.intp), "bank", 5) == [()]
    assert typical_words([], np.zeros(0, np.intp), "bank", 5) == []


def encoded_by(shop, word="bank", **options):
    """Query a word, and return its senses with the texts that were encoded for it."""
    shop.toy.seen.clear()
    return shop.word(word, **options), list(shop.toy.seen)


def test_nothing_is_encoded_twice(shop, cache):
    first, seen = encoded_by(shop)
    assert sorted(seen) == sorted(RIVERS + COINS)
    assert not any(b"river number" in path.read_bytes() for path in cache.rglob("*/*"))
    again, seen = encoded_by(shop, "BANK")
    assert (again.senses, seen) == (first.senses, [])
    again, seen = encoded_by(shop, occurrences=4)
    assert (again.found.used, seen) == (4, [])
    # Only the new sentence of a changed document is encoded.
    add(shop, Document("r3", "The bank of the river number 3. A bank with money."))
    again, seen = encoded_by(shop)
    assert (again.found.used, seen) == (10, ["A bank with money."])


def test_layers_pieces_and_words_are_cached_separately(shop):
    shop.word("bank")
    for by in ({"layer": 0}, {"pieces": "first"}):
        assert len(encoded_by(shop, **by)[1]) == 9
    assert encoded_by(shop, layer=-2)[1] == []  # The same layer as 0.
    assert set(encoded_by(shop, "nothing")[1]) == {"Nothing."}


def test_the_default_layer_is_cached_by_its_number(shop, monkeypatch):
    monkeypatch.setattr(Topics, "word_layer", 1, raising=False)
    shop.word("bank", layer=1)
    first, seen = encoded_by(shop)
    assert seen == []
    # Another default layer, such as that of a later release, does not reuse its vectors.
    monkeypatch.setattr(Topics, "word_layer", 0)
    other, seen = encoded_by(shop)
    assert (other != first, len(seen)) == (True, 9)


def test_embedders_have_a_default_layer(banks):
    minilm = banks.embedder("minilm")
    assert minilm.word_layer == 3
    (given,), (default,) = (minilm.encode_words(["the bank"], layer=layer) for layer in (3, None))
    assert given.spans == default.spans
    assert (given.vectors == default.vectors).all()


def test_a_damaged_file_is_rebuilt(shop, cache):
    first = shop.word("bank")
    (path,) = filter(Path.is_file, cache.rglob("*"))
    intact = path.read_bytes()
    flipped = bytearray(intact)
    flipped[len(intact) // 2] ^= 1
    for damaged in (b"", intact[:40], intact[:-1], flipped, b"{}\n" + bytes(100)):
        path.write_bytes(damaged)
        again, seen = encoded_by(shop)
        assert (again, len(seen), path.read_bytes()) == (first, 9, intact)
    # Intact, but of another word.
    shop.word("nothing")
    (other,) = set(filter(Path.is_file, cache.rglob("*"))) - {path}
    path.write_bytes(other.read_bytes())
    assert shop.word("bank") == first


def test_an_interrupted_call_is_resumed(shop, monkeypatch):
    monkeypatch.setattr("retriever.word_senses.vector_cache.TOGETHER", 2)
    shop.toy.fail_after = 5
    refused(KeyboardInterrupt, None, shop.word, "bank")
    assert len(shop.toy.seen) == 6
    progress = []
    # Two and two were done.
    assert len(encoded_by(shop, progress=lambda *done: progress.append(done))[1]) == 5
    assert progress == [(0, 5), (2, 5), (4, 5), (5, 5)]


def test_a_cache_that_cannot_be_written_gives_a_note(shop, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("RETRIEVER_CACHE", str(tmp_path / "file"))
    found = shop.word("bank")
    assert found.found.used == 9
    assert any("could not be cached" in note and "RETRIEVER_CACHE" in note for note in found.notes)


def test_the_latest_vectors_are_kept(shop, cache, monkeypatch):
    monkeypatch.setattr("retriever.word_senses.vector_cache.KEPT", 4)
    shop.word("bank")
    assert len(encoded_by(shop)[1]) == 5
    assert [path.name for path in cache.rglob("*.*")] == []


def test_occurrences_beyond_the_length_limit_are_left_out(shop):
    text = " ".join(["word"] * 40) + " bank"
    add(shop, Document("long", text))
    found = shop.word("bank")
    assert found.found == OccurrenceCounts(used=9, occurrences=10, read=10, passages=10)
    assert sum(sense.count for sense in found.senses) == 9
    assert "1 occurrence was left out: beyond the length limit of topics." in found.notes
    assert encoded_by(shop)[1] == []
    why = "'bank' is in a part of the text that topics does not re"
    refused(InputError, why, shop.word_in, "bank", text)


@pytest.fixture
def table(tmp_path):
    return StaticEmbedder(write(tmp_path / "table.txt", TABLE))


def test_neighbors_by_hand(table):
    # bank (1, 0): shore (2, 1) / sqrt(5), money (1, 1) / sqrt(2); none has no direction.
    names, cosines = zip(*table.neighbors("bank", 5), strict=True)
    assert names == ("shore", "money", "none")
    assert cosines == pytest.approx((2 / 5**0.5, 0.5**0.5, 0))
    for word in ("bank", "MONEY"):
        assert [name for name, _ in table.neighbors(word, 1)] == ["shore"]
    assert table.neighbors("unheard", 5) == []
    refused(InputError, "k", table.neighbors, "bank", 0)


def test_neighbors_are_those_of_the_entire_table(glove, monkeypatch):
    monkeypatch.setattr("retriever.embedders.static.neighbors.BLOCK", 50_000)
    units = unit(np.asarray(glove.words.vectors))
    cosines = units @ units[glove.words.row("bank")]
    best = np.argsort(-cosines)[1:8]
    names, found = zip(*glove.neighbors("bank", 7), strict=True)
    assert list(names) == [glove.words.names[row] for row in best]
    assert found == pytest.approx(cosines[best], abs=1e-5)


@pytest.fixture(scope="module")
def glove():
    return StaticEmbedder("glove-6b-50d")


@pytest.fixture(scope="module")
def banks(tmp_path_factory, glove):
    """Rivers and money, under MiniLM and the GloVe vectors of their words and of those near bank.

    So few vectors load fast.
    """
    folder = tmp_path_factory.mktemp("banks")
    words = {word.strip(".") for text in RIVER + MONEY for word in text.split()}
    words |= {"bank", "zebra", *(word for word, _ in glove.neighbors("bank", 20))}
    rows = ((word, glove.words[word].tolist()) for word in sorted(words) if word in glove.words)
    lines = (f"{word} {' '.join(map(str, row))}\n" for word, row in rows)
    (folder / "glove.txt").write_text("".join(lines))
    minilm = ContextualEmbedder("all-MiniLM-L6-v2", device="cpu", runtime="torch")
    with Collection.create(folder / "banks") as collection:
        add(collection, river=RIVER, money=MONEY)
        collection.build("glove", StaticEmbedder(folder / "glove.txt"))
        collection.build("minilm", minilm)
        yield collection


def kinds(uses):
    return [use.doc_id.rstrip("0123456789") for use in uses]


def test_two_senses_of_bank(banks):
    found = banks.word("bank", k=3)
    assert (found.word, found.index, found.static) == ("bank", "minilm", "glove")
    assert [one.word for one in found.neighbors] == ["banks", "securities", "banking"]
    assert found.found == OccurrenceCounts(24, 24, 24, 24)
    assert [sense.number for sense in found.senses] == [1, 2]
    assert sum(sense.share for sense in found.senses) == pytest.approx(1)
    assert found.silhouette > 0.3
    # At most one use is in the wrong sense.
    assert {sense.count for sense in found.senses} <= {11, 12, 13}
    by_sense = [kinds(sense.passages) for sense in found.senses]
    assert sorted(by_sense) == [["money"] * 3, ["river"] * 3]
    for sense in found.senses:
        assert [use.rank for use in sense.passages] == [1, 2, 3]
        assert len(set(ids(sense.passages))) == 3
        assert {use.text[slice(*use.span)] for use in sense.passages} == {"bank"}
        assert [use.static for use in sense.passages] == pytest.approx([1] * 3, abs=1e-6)
    assert found == banks.word("bank", k=3)
    assert len(banks.word("bank", senses=4).senses) == 4


def test_passages_that_use_it_in_that_sense(banks):
    found = banks.word_in("Bank", "the bank of the river", k=24)
    assert kinds(found.uses[:8]) == ["river"] * 8
    cosines = [use.contextual for use in found.uses]
    assert cosines == sorted(cosines, reverse=True)
    assert cosines[0] > cosines[-1] + 0.1
    assert [f"{use.static:.3f}" for use in found.uses] == ["1.000"] * 24
    assert kinds(banks.word_in("bank", "I need a loan from the bank.", k=8).uses) == ["money"] * 8
    # A text is nearest to itself.
    (same,) = banks.word_in("bank", RIVER[4], k=1).uses
    assert (same.doc_id, same.text) == ("river4", RIVER[4])
    assert same.contextual == pytest.approx(1, abs=1e-5)


def test_senses_by_hand(shop, table):
    shop.build("table", table)
    found = shop.word("bank", senses=2)
    assert found.static == "table"
    for sense, count, word in zip(found.senses, (5, 4), ("river", "money"), strict=True):
        assert (sense.count, set(kinds(sense.passages))) == (count, {word[0]})
        assert word in sense.words
    # Without context, all uses are equal.
    plain = shop.word("bank", layer=0)
    (only,) = plain.senses
    assert (only.count, only.share, only.words, plain.silhouette) == (9, 1.0, (), None)
    assert isinstance(shop.toy, WordEncoding)


def test_a_cased_table_distinguishes_spellings(shop, table):
    shop.build("table", table)
    add(shop, Document("big", "The Bank of the river money"))
    found = shop.word_in("bank", "a bank near the river", k=20)
    static = {use.doc_id: use.static for use in found.uses}
    assert (static["big"], static["r0"]) == (pytest.approx(0), pytest.approx(1))
    # The mean of several uses in one text.
    assert shop.word_in("bank", "bank of the river. bank of money.", k=1).uses[0].contextual < 1
    # A word that is not in the table has no static cosine.
    found = shop.word_in("number", "number", k=1)
    assert found.uses[0].static is None
    assert "Index 'table' (table) has no vector of 'number'." in found.notes


def test_without_a_static_index_there_is_a_note(shop):
    found = shop.word("bank")
    assert (found.static, found.neighbors) == (None, ())
    assert "No index of static word vectors, so no neighbors are shown." in found.notes
    assert shop.word_in("bank", "bank", k=1).uses[0].static is None


def test_a_table_that_cannot_be_read_is_skipped(shop, tmp_path, table):
    shop.build("table", table)
    other = write(tmp_path / "other.txt", TABLE.replace("money", "purse"))
    shop.build("other", StaticEmbedder(other))
    shop.close()
    (tmp_path / "table.txt").unlink()
    with Collection.open(shop.path) as again:
        again.use("toy", Topics())
        found = again.word("bank")
        assert (found.static, found.neighbors[-2].word) == ("other", "purse")
        (note,) = found.notes
        assert note.startswith("Index 'table' is skipped: No word vectors '")
        # It is an error if it is requested by name.
        refused(ModelNotAvailableError, "No word vectors '", again.word, "bank", static="table")
    other.write_text("bank 1 2\n")
    with Collection.open(shop.path) as again:
        again.use("toy", Topics())
        found = again.word_in("bank", "a bank near the river")
        assert (found.static, len(found.uses), len(found.notes)) == (None, 9, 2)
        assert found.notes[1].startswith("Index 'other' is skipped: Index 'other' holds")


def test_passages_are_of_different_documents_if_possible(shop):
    bank = "The bank of the river, number {}."
    shop.delete([document.doc_id for document in shop.documents()])
    several = " ".join(bank.format(n) for n in range(4))
    add(shop, Document("all", several), Document("own", bank.format(9)))
    (only,) = shop.word("bank", senses=1).senses
    assert only.count == 5
    assert [use.rank for use in only.passages] == [1, 2, 3]
    assert sorted(ids(only.passages)) == ["all", "all", "own"]
    assert len({use.text for use in only.passages}) == 3  # No text twice.
    cosines = [use.contextual for use in only.passages]
    assert cosines == sorted(cosines, reverse=True)


def test_a_word_without_occurrences(shop):
    found = shop.word("numbers")
    assert (found.senses, found.found) == ((), OccurrenceCounts(0, 0, 5, 5))
    assert "'numbers' occurs in no passage; passages have other forms of it: 5." in found.notes
    assert "'zebra' occurs in no passage." in shop.word("zebra").notes
    assert shop.word_in("zebra", "a zebra").uses == ()
    # In a script without spaces, a word is found inside a clause.
    add(shop, Document("tokyo", "東京は日本の首都です。東京。"))
    assert [shop.word(word).found.used for word in ("東京", "日本", "にほん")] == [2, 1, 0]


def test_wrong_arguments_are_refused(shop):
    shop.build("floor", HashingEmbedder())
    for options, message in (
        ({"word": "new york"}, "'new york' is not one word; expected a run of letters"),
        ({"word": "new york"}, r"such as bank\. Use one of its words: new, york\."),
        ({"word": "bank's"}, r"Use one of its words: bank, s\."),
        ({"word": "bank."}, r"Use one of its words: bank\."),
        ({"word": ""}, "'' is not one word"),
        ({"word": "?!"}, r"'\?!' is not one word; expected .* such as bank\.$"),
        ({"word": b"bank"}, "Text 0 is bytes"),
        ({"senses": 0}, "senses is 0; expected a whole number from 1 to 500"),
        ({"senses": 501}, "senses is 501; expected a whole number from 1 to 500"),
        ({"occurrences": 0}, "occurrences is 0; expected a whole number from 1 to 5,000"),
        ({"occurrences": 5001}, "expected a whole number from 1 to 5,000"),
        ({"pieces": "max"}, "pieces is 'max'; expected mean, first or last"),
        ({"layer": 2}, "layer is 2; topics has 1: expected 0 to 1, or -1 for the last to -2"),
        ({"layer": "1"}, "layer is '1'; topics has 1"),
        ({"layer": 2, "word": "zebra"}, "layer is 2; topics has 1"),
        ({"k": 0}, "k is 0"),
        ({"index": "floor"}, r"Index 'floor' \(.*\) has no vectors of words in context"),
        ({"static": "toy"}, "Index 'toy' has no word vectors; expected a static index"),
        ({"index": "words"}, "Index 'words' is lexical: it has no vectors of its own"),
    ):
        refused(InputError, message, shop.word, **{"word": "bank", **options})


def test_without_an_index_it_says_what_to_build(collection):
    collection.add([Document("a", "A bank.")])
    refused(InputError, "no lexical index.*retriever build .* --lexical", collection.word, "bank")
    collection.build("words", lexical=True)
    collection.build("floor", HashingEmbedder())
    refused(InputError, "no index of a contextual .*contextual:all", collection.word, "bank")
    refused(UnknownNameError, "nowhere", collection.word, "bank", index="nowhere")


def test_a_custom_embedder_is_skipped_until_it_is_given(shop):
    with Collection.open(shop.path) as again:
        refused(InputError, "no index of a contextual embedder", again.word, "bank")
        again.use("toy", Topics())
        assert again.word("bank").index == "toy"


def test_a_text_without_the_word_is_refused(shop):
    why = "'bank' is not a word of 'my banks'. Its words are: my, b"
    refused(InputError, why, shop.word_in, "bank", "my banks")
    refused(InputError, "is not a word of '!'. It has none", shop.word_in, "bank", "!")


def test_indexes_are_split_by_kind(banks):
    assert banks.split_by_kind(["minilm", "glove"]) == (["minilm"], "glove")
    assert banks.split_by_kind([]) == ([], None)
    refused(InputError, "glove and glove are", banks.split_by_kind, ["glove", "glove"])


def printed(collection, *arguments):
    result = invoke("word", str(collection.path), *arguments)
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines(), result.stderr.splitlines()


def test_the_command_shows_neighbors_and_senses(banks):
    lines, notes = printed(banks, "bank", "-k", "12", "--occurrences", "24")
    assert lines[0] == "bank in glove: one vector, nearest words"
    assert lines[1].startswith("  banks 0.870, securities 0.800, banking 0.797, ")
    start = "bank in minilm: 2 senses in 24 "
    (at,) = (n for n, line in enumerate(lines) if line.startswith(start))
    assert lines[at + 1].startswith("sense 1: 1")
    assert len(lines) == at + 9
    assert all(" [bank] " in line or " [bank]." in line for line in lines[at + 2 : at + 5])
    assert max(map(len, lines)) <= 100
    assert notes == []


def test_the_command_shows_uses(banks):
    lines, _ = printed(banks, "bank", "--in", "the bank of the river", "-k", "2")
    title, explained, head, first, _ = lines
    assert title == "bank as in: the bank of the river"
    how = "by the cosine in minilm, and of its one vector in glove"
    assert explained == f"the nearest of 24 uses, {how}"
    assert head == "     contextual  static"
    assert re.match(r"  1       0\.9.*   1\.000  river", first)


def test_the_command_prints_objects(banks):
    lines, _ = printed(banks, "bank", "-i", "glove", "-i", "minilm", "-k", "1", "--json")
    summary, neighbor, *senses = map(json.loads, lines)
    assert summary["found"] == {"used": 24, "occurrences": 24, "read": 24, "passages": 24}
    assert (summary["senses"], summary["static_index"]) == (2, "glove")
    assert (neighbor["rank"], neighbor["neighbor"]) == (1, "banks")
    assert [sense["sense"] for sense in senses] == [1, 2]
    fields = {"rank", "doc_id", "text", "span", "contextual", "static"}
    assert fields < senses[0]["passages"][0].keys()
    lines, _ = printed(banks, "bank", "--in", "a bank", "-k", "2", "--json")
    summary, *uses = map(json.loads, lines)
    assert summary["in"] == "a bank"
    assert [use["rank"] for use in uses] == [1, 2]
    assert all(use["static"] == pytest.approx(1, abs=1e-6) for use in uses)


def test_errors_of_the_command(banks):
    command = ("word", str(banks.path), "bank")
    assert fail(*command, "--in", "my money").startswith("'bank' is not a word of 'my money'.")
    assert fail(*command, "-i", "words").startswith("Index 'words' is lexical")
    assert fail(*command, "-i", "nope").startswith("No index 'nope'")
    assert fail(*command, "--layer", "9").startswith("layer is 9; all-MiniLM-L6-v2 has 6")
    misuse(*command, "--in", "bank", "--senses", "2")


def test_the_command_on_a_word_without_uses(banks):
    lines, notes = printed(banks, "zebra", "-k", "1")
    assert lines[-1] == "zebra in minilm: 0 senses in 0 uses"
    assert notes == ["note: 'zebra' occurs in no passage."]
    assert printed(banks, "zebra", "--in", "zebra")[0][-1] == "  no uses"


@pytest.mark.parametrize("width", [1, 50, 80, 100])
def test_the_word_is_visible_on_a_narrow_terminal(shop, table, width):
    shop.build("table", table)
    long = "wide" * 50
    text = f"{'beforehand it ' * 4}bank{' behind it' * 4} {long}"
    add(shop, Document("a-rather-long-name-of-a-document", text))
    every = [shop.word("bank", senses=1), shop.word_in("bank", text, k=20), shop.word(long)]
    for found in [*every, shop.word_in(long, text)]:
        lines = list(sense_lines(found, width))
        assert all(line.cell_len <= max(width, 35) for line in lines)
        uses = [line.plain for line in lines if "[" in line.plain]
        if width >= 50:
            assert uses
            assert all("[bank" in line or "[wide" in line for line in uses)


def test_the_command_fits_the_terminal(banks, monkeypatch):
    # rich treats any stream as a terminal if colors are forced.
    for name, value in (("FORCE_COLOR", "1"), ("COLUMNS", "50"), ("TERM", "xterm")):
        monkeypatch.setenv(name, value)
    lines, _ = printed(banks, "bank", "--in", "the bank of the river", "-k", "24")
    lines = list(map(click.unstyle, lines))
    assert max(map(len, lines)) == 50
    assert sum("[bank]" in line for line in lines) == 24


def test_texts_cannot_control_the_terminal_and_fit(shop):
    text = "very " * 15 + "wide\x1b[31m 東京 bank " + "so " * 30
    add(shop, Document("odd\x1b id " * 9, text))
    for found in (shop.word("bank", senses=1), shop.word_in("bank", text, k=20)):
        lines = list(sense_lines(found))
        assert not any("\x1b" in line.plain for line in lines)
        assert all(line.cell_len <= 100 for line in lines)
    (line,) = (line.plain for line in lines if "東京" in line.plain)
    assert line.endswith("…")
    assert " very wide [31m 東京 [bank] so so" in line
    assert "…" in line.split("very")[0]
