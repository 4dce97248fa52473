"""ELMo: against its authors' activations, and against the network in plain numpy."""

import json
import shutil
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit as sigmoid

from indexes.errors import FileFormatError, InputError, ModelNotAvailableError
from indexes.text.normalize import normalize
from indexes.text.words import word_spans
from retriever.embedders import Embedder, ReportsCoverage, TextReport, load_embedder, parse_spec
from retriever.embedders.base import WordEncoding, unit
from retriever.embedders.elmo.checkpoint import expected_shapes, parse_options, read_elmo
from retriever.embedders.elmo.embedder import ElmoEmbedder
from retriever.embedders.elmo.network import BEGIN_ROW, END_ROW, FIRST_WORD, ElmoNet
from retriever.embedders.elmo.packing import blocks, pack
from retriever.embedders.elmo.tokenizer import _pattern, spans_of, tokenized
from tests.support.commands import invoke
from tests.support.toy import refused

h5py = pytest.importorskip("h5py", reason="h5py is not installed: no ELMo can be read")

LSTM = {"n_layers": 2, "projection_dim": 3, "dim": 5}
LSTM |= {"cell_clip": 0.3, "proj_clip": 0.15, "use_skip_connections": True}
CNN = {"embedding": {"dim": 2}, "filters": [[1, 2], [3, 4]], "n_highway": 1}
CNN |= {"n_characters": 262, "max_characters_per_token": 9, "activation": "relu"}
TINY = {"lstm": LSTM, "char_cnn": CNN}
TEXTS = [
    "He didn't win in the U.S., 6-3.",
    "",
    "cat",
    "an extraordinarily long word, a naïve café and 東京都 🙂",
    " \n\t",
    "He he He he.",
]


def changed(**changes):
    """The tiny options, with some of them changed; None leaves one out."""
    merged = {part: {n: changes.get(n, v) for n, v in old.items()} for part, old in TINY.items()}
    return {part: {n: v for n, v in new.items() if v is not None} for part, new in merged.items()}


def write(folder, options=TINY, seed=0, without=()):
    """Save an ELMo of random weights, large enough for both clips to have an effect."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "options.json").write_text(json.dumps(options))
    rng = np.random.default_rng(seed)
    with h5py.File(folder / "lm_weights.hdf5", "w") as file:
        for name, shape in expected_shapes(parse_options(options)).items():
            if not name.startswith(without):
                file[name] = rng.normal(scale=0.4, size=shape).astype(np.float32)
    return folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def weights(tiny, tmp_path):
    """The path of a copy of the tiny model's weights, to be damaged."""
    return shutil.copytree(tiny, tmp_path / "model") / "lm_weights.hdf5"


def net_of(folder):
    return ElmoNet(*read_elmo(folder), "cpu")


def layers_of(net, texts, state=None):
    """Run the network on texts that are lists of words."""
    rows = {word: FIRST_WORD + n for n, word in enumerate(sorted({w for t in texts for w in t}))}
    numbered = [np.array([rows[word] for word in text], np.int64) for text in texts]
    return net.read(net.table(list(rows)), numbered, state)


def close(vectors, expected, atol=1e-6):
    np.testing.assert_allclose(vectors, expected, rtol=0, atol=atol)


class ByHand:
    """The network in plain numpy, one word at a time, in double precision."""

    def __init__(self, folder):
        self.options = json.loads((folder / "options.json").read_text())
        names = []
        with h5py.File(folder / "lm_weights.hdf5") as file:
            file.visit(names.append)
            found = {n: file[n] for n in names if isinstance(file[n], h5py.Dataset)}
            self.arrays = {name: array[...].astype(np.float64) for name, array in found.items()}

    def word(self, characters):
        """The vector of a word, from its character ids without those of its begin and end."""
        cnn = self.options["char_cnn"]
        ids = [258, *characters[: cnn["max_characters_per_token"] - 2], 259]
        ids += [260] * (cnn["max_characters_per_token"] - len(ids))
        numbers = self.arrays["char_embed"][ids]
        found = []
        for n, (wide, _) in enumerate(cnn["filters"]):
            weight, bias = self.arrays[f"CNN/W_cnn_{n}"][0], self.arrays[f"CNN/b_cnn_{n}"]
            windows = [numbers[start : start + wide] for start in range(len(ids) - wide + 1)]
            most = np.max([np.tensordot(window, weight, 2) for window in windows], axis=0) + bias
            found += [*(np.maximum(most, 0) if cnn["activation"] == "relu" else np.tanh(most))]
        x = np.array(found)
        for n in range(cnn.get("n_highway", 0)):
            part = {k.rsplit("/")[1]: v for k, v in self.arrays.items() if f"CNN_high_{n}/" in k}
            carry = sigmoid(x @ part["W_carry"] + part["b_carry"])
            new = np.maximum(x @ part["W_transform"] + part["b_transform"], 0)
            x = carry * new + (1 - carry) * x
        if "CNN_proj/W_proj" in self.arrays:
            x = x @ self.arrays["CNN_proj/W_proj"] + self.arrays["CNN_proj/b_proj"]
        return x

    def direction(self, words, direction):
        """The output of each LSTM layer for a sequence of vectors, in reading order."""
        lstm, results, sequence = self.options["lstm"], [], words
        most, largest = lstm.get("cell_clip", np.inf), lstm.get("proj_clip", np.inf)
        for n in range(lstm["n_layers"]):
            cell = f"RNN_{direction}/RNN/MultiRNNCell/Cell{n}/LSTMCell"
            c, h, made = np.zeros(lstm["dim"]), np.zeros(lstm["projection_dim"]), []
            for x in sequence:
                gates = np.concatenate([x, h]) @ self.arrays[f"{cell}/W_0"]
                i, j, f, o = np.split(gates + self.arrays[f"{cell}/B"], 4)
                c = np.clip(sigmoid(f + 1) * c + sigmoid(i) * np.tanh(j), -most, most)
                h = (sigmoid(o) * np.tanh(c)) @ self.arrays[f"{cell}/W_P_0"]
                h = np.clip(h, -largest, largest)
                made.append(h)
            skip = n > 0 and lstm.get("use_skip_connections", False)
            sequence = [y + x for y, x in zip(made, sequence, strict=True)] if skip else made
            results.append(np.array(sequence))
        return results

    def layers(self, words):
        """All layers of one text, each (words, 2 x projection)."""
        ids = [[256], *(list(word.encode()) for word in words), [257]]
        vectors = [self.word(characters) for characters in ids]
        forward = self.direction(vectors, 0)
        backward = self.direction(vectors[::-1], 1)
        read = [np.hstack([vectors, vectors])]
        read += [np.hstack([f, b[::-1]]) for f, b in zip(forward, backward, strict=True)]
        return [layer[1:-1] for layer in read]

    def vector(self, text, mixing):
        words = tokenized(text)
        if not words:
            return np.zeros(2 * self.options["lstm"]["projection_dim"])
        layers = zip(mixing, self.layers(words), strict=True)
        mean = sum(share * layer for share, layer in layers).mean(axis=0)
        return mean / np.linalg.norm(mean)


def check_layers(folder, texts):
    by_text = [ByHand(folder).layers(text) for text in texts]
    expected = [np.concatenate(all_) for all_ in zip(*by_text, strict=True)]
    for ours, theirs in zip(layers_of(net_of(folder), texts).layers, expected, strict=True):
        close(ours.numpy(), theirs, 2e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"activation": "tanh", "n_highway": 2},
        {"use_skip_connections": False, "n_layers": 3},
        {"cell_clip": None},
        {"proj_clip": None, "n_characters": 261},
        {"n_highway": None, "n_layers": 1},
        {"filters": [[2, 3]], "n_highway": 0, "max_characters_per_token": 50},
    ],
)
def test_it_equals_the_network_by_hand(tmp_path, changes):
    texts = [text for text in map(tokenized, TEXTS) if text]
    check_layers(write(tmp_path / "model", changed(**changes)), texts)


def test_a_projection_is_left_out_where_there_is_none(tmp_path):
    folder = write(tmp_path / "model", changed(filters=[[1, 1], [2, 2]]), without="CNN_proj")
    check_layers(folder, [["a", "cat"]])


def test_both_clips_have_an_effect_in_the_tiny_model(tiny, tmp_path):
    words = tokenized(TEXTS[0])
    top = ByHand(tiny).layers(words)[-1]
    for name in ("cell_clip", "proj_clip"):
        free = write(tmp_path / name, changed(**{name: None}))
        assert abs(ByHand(free).layers(words)[-1] - top).max() > 0.01


@pytest.mark.parametrize(
    ("layers", "mixing"),
    [("mean", [1, 1, 1]), ("top", [0, 0, 1]), ("1,0,0", [1, 0, 0]), ("0.5, 2,0", [0.5, 2, 0])],
)
def test_a_text_is_the_mean_of_its_words_mixed_from_the_layers(tiny, layers, mixing):
    expected = [ByHand(tiny).vector(text, mixing) for text in TEXTS]
    vectors = ElmoEmbedder(tiny, layers=layers, device="cpu").encode_documents(TEXTS)
    close(vectors, expected)
    assert (vectors.dtype, vectors.shape) == (np.float32, (6, 6))


def test_the_layer_of_words_equals_the_reference(data):
    folder = data / "elmo"
    words = (folder / "vocab_test.txt").read_text().splitlines()
    with h5py.File(folder / "elmo_token_embeddings.hdf5") as file:
        expected = file["embedding"][...]
    table = net_of(folder).table(words).numpy()
    rows = np.arange(len(words)) + FIRST_WORD
    # The list has the begin and end of a sentence under these names.
    rows[words.index("<S>")], rows[words.index("</S>")] = BEGIN_ROW, END_ROW
    assert len(expected) == len(words) == 458
    close(table[rows], expected)


def test_the_top_layer_equals_the_reference_with_the_state_of_earlier_sentences(data):
    folder = data / "elmo"
    lists = json.loads((folder / "sentences.json").read_text())
    files = [h5py.File(folder / f"lm_embeddings_{k}.hdf5") for k in range(3)]
    net, state = net_of(folder), None
    for batch in range(10):
        reading = layers_of(net, [sentences[batch].split() for sentences in lists], state)
        state = reading.state
        expected = [np.hstack(list(file[str(batch)][...])) for file in files]
        close(reading.layers[-1].numpy(), np.concatenate(expected))
    for file in files:
        file.close()


def test_the_state_changes_vectors_and_is_never_written_to(data):
    lists = json.loads((data / "elmo" / "sentences.json").read_text())
    first, second = (lists[0][batch].split() for batch in (3, 5))
    net = net_of(data / "elmo")
    state = layers_of(net, [first]).state
    tensors = (*state.cells, *state.outputs)
    kept = [tensor.clone() for tensor in tensors]
    carried, alone = (layers_of(net, [second], given).layers[-1] for given in (state, None))
    assert abs(carried - alone).max() > 1e-3
    assert all((one == before).all() for one, before in zip(tensors, kept, strict=True))


@pytest.fixture(scope="module")
def embedders(tiny):
    """One text at a time, and several side by side."""
    return [ElmoEmbedder(tiny, batch_size=size, max_length=20, device="cpu") for size in (1, 3)]


PIECES = st.sampled_from(["a", "cat", " ", "U.S.", "é", "🙂", "-", "'", "x" * 60, "\0", "東"])
FRAGMENTS = st.lists(PIECES, max_size=30).map("".join)


@settings(max_examples=40, deadline=None)
@given(texts=st.lists(st.one_of(FRAGMENTS, st.text(max_size=9)), max_size=7), seed=st.randoms())
def test_a_vector_depends_on_its_own_text_alone(embedders, texts, seed):
    one, many = embedders
    alone = one.encode_documents(texts)
    order = list(range(len(texts)))
    seed.shuffle(order)
    close(many.encode_queries([texts[place] for place in order]), alone[order])
    expected = [1.0 if tokenized(text) else 0.0 for text in texts]
    close(np.linalg.norm(alone, axis=1), expected)


def test_batches_of_the_real_model_change_nothing(data):
    rows = (data / "adi" / "corpus.jsonl").read_text().splitlines()
    texts = [json.loads(row)["text"] for row in rows] + TEXTS
    expected = ElmoEmbedder(data / "elmo", batch_size=1).encode_documents(texts)
    for size in (5, 1000):
        vectors = ElmoEmbedder(data / "elmo", batch_size=size).encode_documents(texts[::-1])
        close(vectors[::-1], expected)


def test_longer_words_change_nothing(tmp_path):
    # Some of many filters have their maximum at padding.
    changes = {"max_characters_per_token": 50, "filters": [[1, 2], [3, 30]], "activation": "tanh"}
    net = net_of(write(tmp_path / "model", changed(**changes)))
    words = [*map(chr, range(33, 127)), "cat", "naïve", "x" * 44, "x" * 45, "x" * 46]
    together = net.table([*words, "x" * 60])[FIRST_WORD:-1].numpy()
    alone = np.stack([net.table([word])[FIRST_WORD].numpy() for word in words])
    close(alone, together)


def test_the_sizes_of_parts_and_blocks_change_nothing(tiny, monkeypatch):
    embedder = ElmoEmbedder(tiny, batch_size=3)
    expected, report = embedder.encode_and_report(TEXTS * 3)
    monkeypatch.setattr("retriever.embedders.elmo.embedder.WORDS_TOGETHER", 12)
    monkeypatch.setattr("retriever.embedders.elmo.network.WORDS_TOGETHER", 2)
    monkeypatch.setattr("retriever.embedders.elmo.network.ROWS_TOGETHER", 4)
    again, reported = embedder.encode_and_report(TEXTS * 3)
    close(again, expected)
    assert reported == report == embedder.report_queries(TEXTS * 3)


def test_packing_orders_texts_by_length_and_cuts_blocks_of_rows():
    steps = pack(np.array([1, 3, 2]))
    # Rows: text 0 is 0, text 1 is 1 to 3, text 2 is 4 and 5.
    assert steps.order.tolist() == [1, 2, 0]
    assert steps.sizes == [3, 2, 1]
    assert steps.rows.tolist() == [[1, 4, 0, 2, 5, 3], [3, 5, 0, 2, 4, 1]]
    assert steps.last.tolist() == [5, 4, 2]
    assert list(blocks([3, 2, 1, 1], 3)) == [(0, [3]), (3, [2, 1]), (6, [1])]
    assert list(blocks([3, 2, 1], 1)) == [(0, [3]), (3, [2]), (5, [1])]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("He didn't win in the U.S., 6-3.", "He didn 't win in the U.S. , 6-3 ."),
        ('O’Brien\'s "well-known" co-op', 'O ’Brien \'s " well-known " co-op'),
        ("1,000 at 10:30, or 3.14", "1,000 at 10:30 , or 3.14"),
        ("a,b c:d AT&T 5/7", "a , b c : d AT & T 5 / 7"),
        ("word--word ... wait!!?", "word -- word ... wait !! ?"),
        ("'quoted' rock 'n' roll", "' quoted ' rock ' n ' roll"),
        ("at 5 a.m. on x.y, snake_case", "at 5 a.m. on x.y , snake_case"),
        ("-5 °C (50%)", "- 5 ° C ( 50 % )"),
        ("U.S.A is U.S.-led", "U.S.A is U.S. - led"),
        ("cafe\u0301 हिन्दी ❤️❤️", "cafe\u0301 हिन्दी ❤️ ❤️"),
        (" \t\u2028", ""),
    ],
)
def test_words_are_split_at_punctuation_but_not_within_numbers_and_names(text, words):
    assert tokenized(text) == words.split()


@given(st.text())
def test_words_and_their_spans_cover_every_character(text):
    words = tokenized(text)
    assert "".join(words) == "".join(text.split())
    assert [text[begin:end] for begin, end in spans_of(text)] == words


@given(st.text(st.characters(codec="ascii")))
def test_the_pattern_for_ascii_agrees_with_the_general_one(text):
    assert tokenized(text) == [match.group() for match in _pattern(False).finditer(text)]


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_word_vectors_are_those_of_the_layer(tiny, layer):
    embedder, by_hand = ElmoEmbedder(tiny, batch_size=2), ByHand(tiny)
    assert isinstance(embedder, WordEncoding)
    found = embedder.encode_words(TEXTS, layer=layer)
    for text, words in zip(TEXTS, found, strict=True):
        assert words.spans == word_spans(text)
        if not words.spans:
            assert words.vectors.shape == (0, 6)
            continue
        read = by_hand.layers(tokenized(text))[layer]
        # Rows of ELMo's words for our words: t of 't, U and S of U.S., 6 and 3 of 6-3.
        if text.startswith("He didn"):
            read = read[[0, 1, 2, 3, 4, 5, 6, 6, 8, 8]]
        elif text.startswith("an"):  # "," and the emoji are not words of ours
            read = np.delete(read, [4, 10], axis=0)
        else:
            read = read[: len(words.spans)]
        close(words.vectors, unit(read), 1e-5)


def test_one_word_may_be_several_words_of_elmo(tiny):
    # A raised digit is set apart in the normal form.
    text = "a 10⁵"
    tokens = tokenized(normalize(text))
    assert tokens == ["a", "10", "5"]
    assert word_spans(text) == ((0, 1), (2, 5))
    read = ByHand(tiny).layers(tokens)[2]
    for pieces, own in (("mean", read[1] + read[2]), ("first", read[1]), ("last", read[2])):
        (words,) = ElmoEmbedder(tiny).encode_words([text], pieces=pieces)
        assert words.spans == ((0, 1), (2, 5))
        close(words.vectors, unit(np.stack([read[0], own])), 1e-5)


def test_words_have_vectors_of_every_layer(tiny):
    embedder, text = ElmoEmbedder(tiny, layers="1,0,0"), ["He he He he."]
    assert embedder.layers == 2
    (top,) = embedder.encode_words(text)
    found = {n: embedder.encode_words(text, layer=n)[0].vectors for n in range(-3, 3)}
    for layer in range(3):
        np.testing.assert_array_equal(found[layer], found[layer - 3])
    np.testing.assert_array_equal(top.vectors, found[2])
    # Without context the same word is the same; in context it is not.
    close(found[0][0], found[0][2])
    assert not np.allclose(top.vectors[0], top.vectors[2], atol=1e-3)


def test_invalid_options_of_words_are_refused(tiny):
    encode = ElmoEmbedder(tiny).encode_words
    for layer in (3, -4, True, 1.0, "top"):
        message = f"layer is {layer!r}; tiny has 2: expected 0 to 2"
        refused(InputError, message, encode, ["He"], layer=layer)
    message = "pieces is 'all'; expected mean, first or last"
    refused(InputError, message, encode, ["He"], pieces="all")
    refused(InputError, "Text 0 is bytes", encode, [b"a"])


def test_words_beyond_max_length_are_left_out(tiny, monkeypatch):
    monkeypatch.setattr("retriever.embedders.elmo.embedder.WORDS_TOGETHER", 4)
    texts = ["a b c d", "e", "", "f.g h"]
    found = ElmoEmbedder(tiny, max_length=2).encode_words(texts)
    three = ((0, 1), (2, 3), (4, 5))
    assert [words.spans for words in found] == [three[:2], three[:1], (), three]
    assert ElmoEmbedder(tiny).encode_words([]) == []


def test_it_is_an_embedder_that_reports(tiny):
    embedder = ElmoEmbedder(tiny, max_length=3)
    assert isinstance(embedder, Embedder)
    assert isinstance(embedder, ReportsCoverage)
    assert (embedder.name, embedder.dim, embedder.max_length) == ("tiny", 6, 3)
    texts = ["a b c", "a b c d e", "", "a"]
    vectors, report = embedder.encode_and_report(texts)
    assert report == TextReport(texts=4, truncated=1, tokens=7)
    close(vectors[0], vectors[1])
    assert embedder.report_queries(texts) == report
    assert ElmoEmbedder(tiny).max_length == 512
    assert embedder.encode_documents([]).shape == (0, 6)
    refused(InputError, "Text 1 is bytes", embedder.encode_documents, ["a", b"b"])
    lower, upper = embedder.encode_documents(["he", "He"])
    assert not np.allclose(lower, upper, atol=1e-3)


def test_the_fingerprint_is_of_weights_and_options_that_matter(tiny, tmp_path):
    before = ElmoEmbedder(tiny).fingerprint
    moved = shutil.copytree(tiny, tmp_path / "moved")
    (moved / "options.json").rename(moved / "tiny_options.json")
    (moved / "lm_weights.hdf5").rename(moved / "tiny_weights.hdf5")
    (moved / "tiny_options.json").write_text(json.dumps(TINY, indent=3))
    assert ElmoEmbedder(moved, batch_size=7, layers="2,2,2").fingerprint == before
    assert str(tmp_path) not in before
    top, short = ElmoEmbedder(tiny, layers="top"), ElmoEmbedder(tiny, max_length=100)
    other = ElmoEmbedder(write(tmp_path / "other", seed=1))
    clipped = ElmoEmbedder(write(tmp_path / "clipped", changed(cell_clip=3)))
    assert len({before, *(each.fingerprint for each in (top, short, other, clipped))}) == 5


def test_its_spec_loads_it_again(tiny):
    spec = parse_spec(f"elmo:{tiny}", {"layers": "1,2,0", "max_length": "9", "device": "cpu"})
    embedder = load_embedder(spec)
    assert str(embedder.spec) == f"elmo:{tiny}"
    assert embedder.spec.options == {**spec.options, "batch_size": 64}
    assert load_embedder(embedder.spec).fingerprint == embedder.fingerprint


def test_an_index_on_the_command_line(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    corpus = [{"_id": str(n), "text": text} for n, text in enumerate(TEXTS)]
    stdin = "\n".join(map(json.dumps, corpus))
    steps = [
        invoke("add", "library", "-", stdin=stdin),
        invoke("build", "library", "deep", "--embedder", f"elmo:{tiny}", "-o", "layers", "top"),
        invoke("search", "library", TEXTS[3], "-i", "deep", "-k", "2", "--json"),
    ]
    assert [step.exit_code for step in steps] == [0, 0, 0], steps
    hits = [json.loads(line) for line in steps[-1].stdout.splitlines()]
    vectors = [ByHand(tiny).vector(text, [0, 0, 1]) for text in TEXTS]
    scores = np.array(vectors) @ vectors[3]
    best = sorted(range(len(TEXTS)), key=lambda n: -scores[n])[:2]
    assert [hit["doc_id"] for hit in hits] == [str(n) for n in best]
    close([hit["score"] for hit in hits], scores[best], 1e-5)
    (info,) = json.loads(invoke("info", "library", "--json").stdout)["indexes"]
    assert info["embedder"] == f"elmo:{tiny}"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0; expected a whole number"),
        ({"max_length": True}, "max_length is True; expected a whole number"),
        ({"layers": "bottom"}, "layers is 'bottom'; expected mean, top, or 3 weights"),
        ({"layers": "1,2"}, "expected mean, top, or 3 weights"),
        ({"layers": "0,0,0"}, "not all of them 0"),
        ({"layers": "1,-1,1"}, "weights from 0 up"),
        ({"layers": "1,nan,1"}, "weights from 0 up"),
        ({"device": "banana"}, "Device 'banana' cannot be used here"),
    ],
)
def test_invalid_options_are_refused(tiny, options, message):
    refused(InputError, message, ElmoEmbedder, tiny, **options)


def test_a_path_without_a_model_is_named(tiny, tmp_path):
    nowhere, message = tmp_path / "nowhere", "No ELMo in .*nowhere: it does not exist"
    refused(ModelNotAvailableError, message, ElmoEmbedder, nowhere)
    message = "it is a file. Give the folder that holds"
    refused(ModelNotAvailableError, message, ElmoEmbedder, tiny / "options.json")
    refused(FileFormatError, r"has 0 files \*options.json; expected one", ElmoEmbedder, tmp_path)
    for name in ("a_options.json", "a_weights.hdf5", "b_weights.hdf5"):
        (tmp_path / name).touch()
    refused(FileFormatError, r"2 files \*weights.hdf5: a_weights.hdf5, b_w", ElmoEmbedder, tmp_path)


def test_without_h5py_the_error_names_the_extra(tiny, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    refused(ModelNotAvailableError, r"pip install 'retriever-compare\[elmo\]'", ElmoEmbedder, tiny)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (b"{", "is not valid JSON"),
        (b"\xff", "is not valid JSON"),
        ([], "'char_cnn' is missing; expected the options of an ELMo over characters"),
        ({"lstm": LSTM}, "'char_cnn' is missing"),
        ({"char_cnn": CNN}, "'lstm' is missing"),
        (changed(embedding=3), "'embedding' is missing"),
        (changed(n_characters=300), "'char_cnn.n_characters' is 300; expected 262"),
        (changed(max_characters_per_token=2), "is 2; expected 3 or more"),
        (changed(activation="swish"), "'char_cnn.activation' is 'swish'; expected relu or tanh"),
        (changed(n_highway=-1), "'char_cnn.n_highway' is -1; expected a whole number from 0 up"),
        (changed(n_layers=0), "'lstm.n_layers' is 0; expected a whole number from 1 up"),
        (changed(dim="5"), "is '5'; expected a whole number"),
        (changed(projection_dim=None), "'lstm.projection_dim' is None; expected a whole number"),
        (changed(cell_clip=0), "'lstm.cell_clip' is 0; expected a number above 0, or null"),
        (changed(proj_clip=True), "'lstm.proj_clip' is True; expected a number above 0"),
        (changed(use_skip_connections=1), "'lstm.use_skip_connections' is 1; expected true"),
        (changed(filters=[]), r"'char_cnn.filters' is \[\]; expected pairs \[width, number\]"),
        (changed(filters=[[10, 2]]), "each width from 1 to 9"),
        (changed(filters=[[1, 2, 3]]), "expected pairs"),
    ],
)
def test_options_that_describe_no_network_are_refused(weights, options, message):
    content = options if isinstance(options, bytes) else json.dumps(options).encode()
    (weights.parent / "options.json").write_bytes(content)
    refused(FileFormatError, f"options.json.*{message}", ElmoEmbedder, weights.parent)


CELL2 = "RNN_0/RNN/MultiRNNCell/Cell2"
CELL = "RNN_1/RNN/MultiRNNCell/Cell1/LSTMCell"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (f"{CELL}/W_P_0", None, rf"has no array '{CELL}/W_P_0'; expected one of shape \(5, 3\)"),
        ("CNN_proj", None, r"has no array 'CNN_proj/W_proj'; expected one of shape \(6, 3\)"),
        (f"{CELL}/B", np.zeros(21, "f4"), r"of shape \(21,\); expected floats of shape \(20,\)"),
        ("char_embed", np.zeros((261, 2), "i4"), "'char_embed' is int32 of shape"),
        ("char_embed", np.full((261, 2), 1e300), "'char_embed' has values that are not finite"),
        ("CNN/b_cnn_0", np.array([0, np.nan], "f4"), "'CNN/b_cnn_0' has values that are not"),
        ("CNN/W_cnn_2", np.zeros(1), "has 'CNN/W_cnn_2', but the options say 2 kinds of filters"),
        ("CNN_high_1/W_carry", np.zeros(1), "'CNN_high_1', but the options say 1 highway layers"),
        (f"{CELL2}/LSTMCell/B", np.zeros(1), f"has '{CELL2}', but the options say 2 LSTM layers"),
    ],
)
def test_weights_that_do_not_fit_are_named(weights, name, value, message):
    with h5py.File(weights, "a") as file:
        if name in file:
            del file[name]
        if value is not None:
            file[name] = value
    refused(FileFormatError, f"{weights}.*{message}", ElmoEmbedder, weights.parent)


def test_weights_in_double_precision_are_read(weights):
    before = ElmoEmbedder(weights.parent)
    with h5py.File(weights, "a") as file:
        numbers = file["CNN/b_cnn_0"][...].astype(np.float64)
        del file["CNN/b_cnn_0"]
        file["CNN/b_cnn_0"] = numbers
    assert ElmoEmbedder(weights.parent).fingerprint == before.fingerprint


def test_truncated_weights_are_refused(weights):
    whole = weights.read_bytes()
    for share in (0, 0.01, 0.3, 0.7, 0.99):
        weights.write_bytes(whole[: int(len(whole) * share)])
        refused(FileFormatError, "is not an intact HDF5 file", ElmoEmbedder, weights.parent)


def test_the_shapes_are_those_of_the_published_layout(data):
    options, read = read_elmo(data / "elmo")
    shapes = {name: array.shape for name, array in read.arrays.items()}
    assert shapes == expected_shapes(options)
    assert shapes["RNN_0/RNN/MultiRNNCell/Cell0/LSTMCell/W_0"] == (32, 256)
