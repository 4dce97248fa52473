"""Static sentence models: against sentence-transformers and the tokenizer itself; damage."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes.errors import FileFormatError
from indexes.text import words as pieces
from indexes.text.normalize import normalize
from retriever.embedders.cache import cache_folder
from retriever.embedders.hub import locate_sentence_model
from retriever.embedders.static.loading import load_vocabulary
from retriever.embedders.static.safetensors_file import read_tensors
from retriever.embedders.tokenization import subword_tokenizer as tokenizing
from retriever.embedders.tokenization.subword_tokenizer import TextTokenizer
from tests.support.laws import examples
from tests.support.toy import refused

NAMES = "[PAD] [UNK] [CLS] the cat sat ##s on mat . , ' - e café ##é 猫 ## # a b ##b c"
WORDS = NAMES.split()
ROWS = len(WORDS)


def make_tokenizer(
    normalizer="bert", splitter="BertPreTokenizer", model="WordPiece", added=(), truncation=None
):
    """Build a small tokenizer of these parts."""
    from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

    vocabulary = {word: number for number, word in enumerate(WORDS)}
    kinds = {
        "WordPiece": lambda: models.WordPiece(vocabulary, unk_token="[UNK]"),
        "WordLevel": lambda: models.WordLevel(vocabulary, unk_token="[UNK]"),
        "BPE": lambda: models.BPE(vocabulary, [("#", "#")], unk_token="[UNK]"),
        "Unigram": lambda: models.Unigram([(word, -1.0) for word in WORDS], unk_id=1),
    }
    lower = normalizers.Lowercase()
    steps = {
        "bert": normalizers.BertNormalizer(),
        "cased": normalizers.BertNormalizer(lowercase=False, strip_accents=False),
        "none": None,
        "nfc": normalizers.Sequence([normalizers.NFC(), lower]),
        "strip": normalizers.Sequence([normalizers.NFD(), lower, normalizers.StripAccents()]),
    }
    result = Tokenizer(kinds[model]())
    if steps[normalizer] is not None:
        result.normalizer = steps[normalizer]
    result.pre_tokenizer = getattr(pre_tokenizers, splitter)()
    result.add_special_tokens(["[UNK]", "[CLS]"])
    result.add_tokens([AddedToken(text, normalized=False) for text in added])
    if truncation:
        result.enable_truncation(truncation)
    return result


def write(folder, arrays=None, modules=("StaticEmbedding",), place="", truncation=None):
    """Write a model of sentence-transformers, or of model2vec (no modules)."""
    from safetensors.numpy import save_file

    (folder / place).mkdir(exist_ok=True)
    make_tokenizer(truncation=truncation).save(str(folder / place / "tokenizer.json"))
    save_file(arrays or {"embedding.weight": table()}, folder / place / "model.safetensors")
    if modules:
        kind = "sentence_transformers.models."
        listed = [
            {"idx": n, "name": str(n), "path": "" if n else place, "type": kind + module}
            for n, module in enumerate(modules)
        ]
        (folder / "modules.json").write_text(json.dumps(listed))
    return folder


def table(rows=ROWS):
    return np.random.default_rng(0).normal(size=(rows, 4)).astype(np.float32)


def rows_of(vocabulary, texts):
    bags = vocabulary.bags(texts)
    np.testing.assert_array_equal(bags.table, vocabulary.vectors[bags.ids])
    rows = bags.ids[bags.rows].tolist()
    return [rows[begin:end] for begin, end in pairwise(bags.offsets.tolist())]


FRAGMENTS = [*WORDS, "The", "CATS", "É", "e\u0301", "h\u0331", "H\u0331", "İ", "K", "🙂", "猫猫"]
FRAGMENTS += [" ", "  ", "\t", "\n", "\r", "\x0b", "\x00", "\x1f", "\u00a0", "\u2028", "\u200b"]
FRAGMENTS += ["–", "!", "_", "<x>", "<X>", "[unk]", "[CLS]the", "x" * 120, "²", "ﬁ", "Å", "が"]
FRAGMENTS += ["\u0301", "\u0338", "\ufffd", "=", "ats", "THE CAT", "##S"]
TEXTS = st.lists(st.lists(st.sampled_from(FRAGMENTS), max_size=8).map("".join), max_size=4)
TOKENIZERS = {
    "bert": {},
    "cased": {"normalizer": "cased"},
    "whitespace": {"normalizer": "none", "splitter": "Whitespace", "model": "WordLevel"},
    "nfc": {"normalizer": "nfc", "splitter": "WhitespaceSplit"},
    "strip": {"normalizer": "strip", "model": "BPE"},
    "added": {"added": ["<x>", "ats", "cé"]},
    "with a space": {"added": ["the cat"]},
    "metaspace": {"splitter": "Metaspace", "model": "Unigram"},
    "bytes": {"splitter": "ByteLevel", "model": "BPE"},
}
NOT_SPLIT = {"with a space", "metaspace", "bytes"}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Each tokenizer, and ours over its file."""
    from tokenizers import Tokenizer

    path = Path(locate_sentence_model("all-MiniLM-L6-v2")[0]) / "tokenizer.json"
    oracle = Tokenizer.from_file(str(path))
    oracle.no_truncation()
    oracle.no_padding()
    found = {"minilm": (oracle, TextTokenizer(path))}
    for name, parts in TOKENIZERS.items():
        path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
        oracle = make_tokenizer(**parts)
        oracle.save(str(path))
        found[name] = (oracle, TextTokenizer(path))
    return found


def check_equal(pair, texts):
    oracle, ours = pair
    normal = list(map(normalize, texts))
    expected = [found.ids for found in oracle.encode_batch(normal, add_special_tokens=False)]
    tokens, offsets = ours.tokens(texts)
    assert (tokens.dtype, offsets.dtype) == (np.int32, np.int64)
    assert [tokens[begin:end].tolist() for begin, end in pairwise(offsets)] == expected
    assert [ours.tokens_of(text) for text in texts] == expected


@pytest.mark.parametrize("name", [*TOKENIZERS, "minilm"])
@settings(deadline=None, max_examples=examples(60))
@given(texts=st.one_of(TEXTS, st.lists(st.text(max_size=12), max_size=3)))
def test_pieces_have_the_tokens_of_the_complete_text(pairs, name, texts):
    check_equal(pairs[name], texts)


def test_which_tokenizers_can_be_applied_to_pieces(pairs):
    local = {name: ours._locality for name, (_, ours) in pairs.items()}
    assert {name for name, found in local.items() if found is None} == NOT_SPLIT
    marked = {name for name, found in local.items() if found and found.marks}
    assert marked == {"bert", "cased", "strip", "added", "minilm"}


def test_real_texts_have_the_tokens_of_the_tokenizer(pairs, data):
    lines = (data / "adi" / "corpus.jsonl").read_text().splitlines()
    check_equal(pairs["minilm"], [*lines, "", "[UNK] in [MASK]", "##s"])


def test_neither_chunks_nor_a_full_cache_change_a_token(pairs, monkeypatch):
    texts = ["the cats sat", "", "on the mat, café", "猫 the"] * 3
    monkeypatch.setattr(pieces, "CHUNK_CHARACTERS", 9)
    monkeypatch.setattr(tokenizing, "REMEMBERED", 4)
    monkeypatch.setattr(tokenizing, "WHOLE_TEXTS", 2)
    for pair in pairs.values():
        check_equal(pair, texts)


SENTENCES = ["The cat sat on the mat.", "unheard cats", "", "[UNK] zzz", "猫 - café 's"]


@pytest.mark.model
@pytest.mark.parametrize("place", ["", "0_StaticEmbedding"])
@pytest.mark.parametrize("truncation", [None, 3])
def test_a_sentence_transformers_folder_pools_unknown_tokens(tmp_path, place, truncation):
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    modules = ("StaticEmbedding", "Normalize")
    folder = write(tmp_path, modules=modules, place=place, truncation=truncation)
    vocabulary = load_vocabulary(folder)
    oracle = StaticEmbedding.load(str(folder / place))
    features = oracle.preprocess(SENTENCES)
    expected = oracle(features)["sentence_embedding"].detach().numpy()
    rows = rows_of(vocabulary, SENTENCES)
    assert [row for some in rows for row in some] == features["input_ids"].tolist()
    assert [vocabulary.rows_of(text) for text in SENTENCES] == rows
    means = [vocabulary.vectors[some].mean(axis=0) if some else np.zeros(4) for some in rows]
    np.testing.assert_allclose(means, expected, rtol=1e-5, atol=1e-7)
    assert vocabulary.bags(SENTENCES).occurring == len(features["input_ids"])
    attributes = {"source": vocabulary.checksum, "words": "tokens, normalized", "unknown": "pooled"}
    assert vocabulary.attributes == attributes
    assert vocabulary.unknown_words(["unheard"]) == [[]]
    # Nothing is copied: the file itself is mapped.
    assert isinstance(vocabulary.vectors.base, np.memmap)


def test_a_model2vec_folder_drops_unknown_tokens(tmp_path):
    vocabulary = load_vocabulary(write(tmp_path, {"embeddings": table()}, modules=()))
    texts = ["the zzz cat", "zzz"]
    rows = rows_of(vocabulary, texts)
    assert rows == [[WORDS.index("the"), WORDS.index("cat")], []]
    assert [vocabulary.rows_of(text) for text in texts] == rows
    bags = vocabulary.bags(texts)
    assert (bags.occurring, WORDS.index("[UNK]") in bags.ids) == (4, False)
    assert sorted(bags.words) == ["cat", "the"]
    assert vocabulary.unknown_words(["The Zzz cat zzz Zzz", "the"]) == [["Zzz", "zzz"], []]
    assert vocabulary.attributes["unknown"] == "dropped"


@pytest.mark.model
def test_mapping_and_weights_are_applied_as_by_sentence_transformers(tmp_path):
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    mapping = np.random.default_rng(1).integers(0, 5, ROWS)
    weights = np.random.default_rng(2).random(ROWS).astype(np.float32)
    folder = write(tmp_path, {"embeddings": table(5), "mapping": mapping, "weights": weights})
    expected = StaticEmbedding.load(str(folder)).embedding.weight.detach().numpy()
    vocabulary = load_vocabulary(folder)
    np.testing.assert_array_equal(vocabulary.vectors, expected)
    assert vocabulary.checksum == load_vocabulary(folder).checksum


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "int8"])
def test_other_number_types_are_converted_once(tmp_path, dtype):
    import torch
    from safetensors.torch import save_file

    numbers = torch.tensor(table() * 50).to(getattr(torch, dtype))
    folder = write(tmp_path)
    save_file({"embeddings": numbers}, folder / "model.safetensors")
    vocabulary = load_vocabulary(folder)
    np.testing.assert_array_equal(vocabulary.vectors, numbers.float().numpy())
    kept = cache_folder() / "tables" / f"{vocabulary.checksum}.npy"
    before = kept.stat().st_mtime_ns
    load_vocabulary(folder)
    assert kept.stat().st_mtime_ns == before
    kept.write_bytes(b"")  # damaged: written again
    np.testing.assert_array_equal(load_vocabulary(folder).vectors, numbers.float().numpy())


def test_the_teacher_is_read(tmp_path):
    folder = write(tmp_path)
    assert load_vocabulary(folder).teacher is None
    (folder / "retriever.json").write_text('{"teacher": {"name": "x", "fingerprint": "{1}"}}')
    assert load_vocabulary(folder).teacher == "{1}"


@pytest.mark.parametrize("modules", [("Transformer", "Pooling"), ("StaticEmbedding", "Dense")])
def test_models_of_other_parts_are_refused(tmp_path, modules):
    folder = write(tmp_path, modules=modules)
    message = f"is a model of {', '.join(modules)}; expected a static one.*contextual:{folder}"
    refused(FileFormatError, message, load_vocabulary, folder)


def test_a_default_prompt_is_refused(tmp_path):
    folder = write(tmp_path)
    prompts = {"prompts": {"query": "q: "}, "default_prompt_name": "query"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    refused(FileFormatError, "puts the prompt 'q: ' before every text", load_vocabulary, folder)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"other": table()}, "has the arrays other; expected 'embedding.weight'"),
        ({"embedding.weight": table(3)}, "knows 23 tokens, but the table in .* has 3 rows"),
        ({"embedding.weight": table() * np.nan}, "not a finite number"),
        ({"embeddings": table(), "weights": table()}, "inconsistent shapes"),
        ({"embeddings": table(), "mapping": np.full(23, 99)}, "'mapping' points to missing rows"),
        ({"embeddings": table(), "mapping": np.zeros(0, np.int64)}, "inconsistent shapes"),
    ],
)
def test_inconsistent_tables_are_refused(tmp_path, arrays, message):
    refused(FileFormatError, message, load_vocabulary, write(tmp_path, arrays))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("modules.json", b"{", "is not valid JSON"),
        ("modules.json", b"{}", "holds a dict; expected a list"),
        ("modules.json", b"[1]", "is not a list of modules"),
        ("model.safetensors", b"", "is not an intact safetensors file"),
        ("model.safetensors", b"\xff" * 90, "is not an intact safetensors file"),
        ("tokenizer.json", b"{}", "is not a valid tokenizer"),
        ("tokenizer.json", None, r"has no tokenizer\.json; expected the folder of a static"),
    ],
)
def test_damaged_files_are_named(tmp_path, name, content, message):
    folder = write(tmp_path)
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    refused(FileFormatError, f"{folder}.*{message}", load_vocabulary, folder)


def test_a_cut_off_table_is_refused(tmp_path):
    path = write(tmp_path) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-8])
    refused(FileFormatError, "is not an intact safetensors file", read_tensors, path)
