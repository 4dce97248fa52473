"""Every family of transformers: equal to the plain model, run on one whole text at a time."""

import json
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexes.errors import InputError
from retriever import Document
from retriever.embedders import ContextualEmbedder, load_embedder, parse_spec
from retriever.embedders.base import unit
from retriever.embedders.layers import parse_layers, resolve_layers
from tests.support.commands import invoke
from tests.support.models.families import FAMILIES, T5, TEXTS, families, save, sentence_model
from tests.support.toy import exactly, refused

POOLINGS = ("mean", "cls", "last", "weighted_mean", "max")
# Raw checkpoints are mean-pooled, except decoders saved for generation: their last token.
LAST = {"gpt-neox", "llama", "qwen2"}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """The folder of a family's raw checkpoint, by its name."""
    root = tmp_path_factory.mktemp("checkpoints")
    return {name: save(name, root / name) for name in FAMILIES}


class Plain:
    """A checkpoint in plain transformers: one text at a time, so that nothing is padded."""

    def __init__(self, folder):
        from transformers import AutoModel, AutoTokenizer, T5EncoderModel

        config = json.loads((folder / "config.json").read_text())
        kind = T5EncoderModel if config["model_type"] == "t5" else AutoModel
        self.model = kind.from_pretrained(folder).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)

    def layers(self, text, limit):
        """The input of the first layer and the output of each: (tokens, width) each."""
        import torch

        cut = {} if limit is None else {"truncation": True, "max_length": limit}
        tokens = self.tokenizer(text, return_tensors="pt", **cut)
        with torch.inference_mode():
            given = {name: tokens[name] for name in ("input_ids", "attention_mask")}
            read = self.model(**given, output_hidden_states=True)
        states = [state[0].numpy() for state in read.hidden_states]
        np.testing.assert_array_equal(states[-1], read.last_hidden_state[0].numpy())
        return states

    def embed(self, texts, limit, pooling, layers=(-1,)):
        states = [self.layers(text, limit) for text in texts]
        averages = [np.mean([state[layer] for layer in layers], axis=0) for state in states]
        return unit([pooled(tokens, pooling) for tokens in averages])


def pooled(tokens, pooling):
    places = np.arange(1, len(tokens) + 1)
    return {
        "mean": tokens.sum(axis=0) / len(tokens),
        "cls": tokens[0],
        "last": tokens[-1],
        "weighted_mean": places @ tokens / places.sum(),
        "max": tokens.max(axis=0),
    }[pooling]


@pytest.fixture(scope="module")
def plain(checkpoints):
    return {name: Plain(folder) for name, folder in checkpoints.items()}


def in_torch(folder, **options):
    return ContextualEmbedder(folder, runtime="torch", **options)


def close(vectors, expected):
    np.testing.assert_allclose(vectors, expected, atol=1e-5)


def check_equal(embedder, plain, pooling, layers=(-1,)):
    expected = plain.embed(TEXTS, embedder.max_length, pooling, layers)
    close(embedder.encode_documents(TEXTS), expected)


def test_every_family_is_tested():
    assert list(families()) == FAMILIES


@pytest.mark.parametrize("name", FAMILIES)
def test_a_raw_checkpoint_equals_the_plain_model_without_padding(checkpoints, plain, name):
    embedder = in_torch(checkpoints[name], device="cpu")
    limit = embedder.max_length
    vectors, report = embedder.encode_and_report(TEXTS)
    close(vectors, plain[name].embed(TEXTS, limit, "last" if name in LAST else "mean"))
    assert embedder.dim == 16
    # Later tokens have higher weights, whichever side is padded.
    check_equal(in_torch(checkpoints[name], pooling="weighted_mean"), plain[name], "weighted_mean")
    # Some batch has texts of several lengths.
    assert report.padded > report.tokens
    known = plain[name].tokenizer.pad_token_id
    assert known is None or embedder._opened.card.pad == known
    lengths = [len(ids) for ids in plain[name].tokenizer(TEXTS)["input_ids"]]
    assert report.tokens == sum(min(length, limit or length) for length in lengths)
    assert report.truncated == sum(length > (limit or length) for length in lengths)


@pytest.mark.parametrize("name", ["bert-left", "gpt2", "llama", "t5"])
def test_every_pooling_equals_its_formula(checkpoints, plain, name):
    default = in_torch(checkpoints[name])
    own = "last" if name in LAST else "mean"
    for pooling in POOLINGS:
        embedder = in_torch(checkpoints[name], pooling=pooling)
        check_equal(embedder, plain[name], pooling)
        assert (embedder.fingerprint == default.fingerprint) == (pooling == own)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize(("layer", "layers"), [("-2", [2]), ("-4..-1", [0, 1, 2, 3])])
def test_a_layer_or_the_average_of_several_is_pooled(checkpoints, plain, name, layer, layers):
    embedder = in_torch(checkpoints[name], layer=layer, pooling="mean")
    check_equal(embedder, plain[name], "mean", layers)
    assert embedder.layers == 3
    assert f'"layers":{json.dumps(layers, separators=(",", ":"))}' in embedder.fingerprint


@pytest.mark.parametrize("name", ["distilbert", "mpnet", "gpt-neox", "t5"])
@pytest.mark.parametrize(("layer", "layers"), [(0, [0]), ("2,1", [1, 2]), ("3,0", [0, 3])])
def test_layers_can_be_numbers_and_unordered(checkpoints, plain, name, layer, layers):
    embedder = in_torch(checkpoints[name], layer=layer, pooling="max")
    check_equal(embedder, plain[name], "max", layers)
    assert load_embedder(embedder.spec).fingerprint == embedder.fingerprint


@pytest.mark.parametrize("name", FAMILIES)
def test_words_have_vectors_of_every_layer(checkpoints, plain, name):
    text = "kittens"
    low = in_torch(checkpoints[name], layer=1)
    states = plain[name].layers(text, None)
    # The pieces of the word are its tokens other than special ones.
    marks = plain[name].tokenizer(text, return_special_tokens_mask=True)["special_tokens_mask"]
    for layer in range(4):
        (word,) = low.encode_words([text], layer=layer)
        assert word.spans == ((0, 7),)
        close(word.vectors, unit([states[layer][np.array(marks) == 0].mean(axis=0)]))


@pytest.mark.parametrize("name", ["bert", "distilbert", "mpnet"])
def test_layers_above_the_chosen_are_not_computed(checkpoints, name):
    found = [in_torch(checkpoints[name], layer=layer).fingerprint for layer in (None, -1, "3")]
    assert len(set(found)) == 1
    parts = in_torch(checkpoints[name], layer="0,1")._opened.model().parts
    (stack,) = [module for module in parts.modules() if hasattr(module, "layer")]
    assert len(stack.layer) == 1


def test_a_raw_checkpoint_has_a_warning_with_figures(checkpoints):
    for name, options, model, pooling in (
        ("bert", {}, "BertModel", "mean"),
        ("llama", {}, "LlamaModel", "last"),
        ("t5", {"pooling": "max"}, "T5EncoderModel", "max"),
    ):
        (note,) = in_torch(checkpoints[name], **options).notes
        assert f"raw {model}, never trained to embed texts, pooled by '{pooling}'" in note
        assert "nDCG@10 on SciFact is 13.3 for bert-base-uncased, 29.6 for GloVe 6B 300d" in note


def test_positions_that_begin_after_the_pad_token_shorten_the_limit(checkpoints):
    # Of 40 positions RoBERTa leaves two out: a text of 40 tokens would have none for its end.
    roberta = checkpoints["roberta"]
    assert in_torch(roberta).max_length == 38
    message = "max_length is 39; this model reads at most 38 tokens"
    refused(InputError, message, in_torch, roberta, max_length=39)
    # T5 has no learned positions, and its folder says no limit.
    assert in_torch(checkpoints["t5"]).max_length == 4096


def test_a_text_without_tokens_counts_as_blank(checkpoints, tmp_path):
    # A decoder over word pieces, without special tokens: control characters are removed.
    shutil.copytree(checkpoints["gpt2"], tmp_path / "bare")
    bare = json.loads((checkpoints["bert"] / "tokenizer.json").read_text())
    (tmp_path / "bare" / "tokenizer.json").write_text(json.dumps({**bare, "post_processor": None}))
    for pooling in POOLINGS:
        embedder = in_torch(tmp_path / "bare", pooling=pooling)
        vectors, report = embedder.encode_and_report(["\0\a", "a bank", " "])
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [0, 1, 0], atol=1e-6)
        assert (report.texts, report.tokens) == (3, 2)


def test_a_max_length_without_room_for_a_text_is_refused(checkpoints):
    # [CLS] and [SEP] are two; `keep their money` is three more.
    bert, prompt = checkpoints["bert"], "keep their money "
    assert in_torch(bert, max_length=3).max_length == 3
    message = "max_length is 2; the model's special tokens take 2"
    refused(InputError, message, in_torch, bert, max_length=2)
    message = f"The prompt '{prompt}' takes all 5 tokens and leaves none"
    refused(InputError, message, in_torch, bert, document_prompt=prompt, max_length=5)
    in_torch(bert, document_prompt=prompt, max_length=6)
    # Byte-level BPE of GPT-2 has no special tokens.
    assert in_torch(checkpoints["gpt2"], max_length=1).encode_documents(["a bank"]).any()


@pytest.mark.parametrize("name", ["bert", "gpt2"])
def test_an_exported_copy_has_the_same_options(checkpoints, name):
    options = {"layer": "-2..-1", "pooling": "last", "dim": 7, "query_prompt": "read "}
    exported = ContextualEmbedder(checkpoints[name], runtime="onnx", **options)
    torch = in_torch(checkpoints[name], **options)
    assert exported.runtime == "onnx"
    close(exported.encode_queries(TEXTS), torch.encode_queries(TEXTS))
    # The warning of raw checkpoints is kept with the copy.
    assert torch.notes[-1] in exported.notes
    again = load_embedder(exported.spec)
    assert (again.runtime, again.fingerprint) == ("onnx", exported.fingerprint)


@pytest.mark.parametrize("name", ["bert", "mpnet", "modernbert", "gpt2", "llama", "t5"])
def test_half_precision_has_similar_vectors_in_every_family(checkpoints, name):
    from torch import bfloat16

    options = {"layer": "-2..-1", "pooling": "weighted_mean"}
    exact = in_torch(checkpoints[name], **options)
    half = in_torch(checkpoints[name], **options, precision="bfloat16")
    assert {weight.dtype for weight in half._opened.model().parts.parameters()} == {bfloat16}
    cosines = (half.encode_documents(TEXTS) * exact.encode_documents(TEXTS)).sum(axis=1)
    assert cosines.min() > 0.99
    assert half.fingerprint != exact.fingerprint


@pytest.fixture(scope="module")
def sentence_models(checkpoints, tmp_path_factory):
    """Sentence models with modules of their own: a decoder, T5 and two more, two poolings."""
    from sentence_transformers.sentence_transformer import modules as m

    root = tmp_path_factory.mktemp("sentences")
    prompts = {"query": "read: ", "document": "books "}
    made = {
        "gpt2": ([m.Pooling(16, pooling_mode="weightedmean")], {}),
        "qwen2": ([m.Pooling(16, pooling_mode="lasttoken"), m.Normalize()], prompts),
        "t5": ([m.Pooling(16, "mean"), m.Dense(16, 12, bias=False), m.Normalize()], {}),
        "bert": ([m.Pooling(16, pooling_mode=("cls", "mean")), m.Dense(32, 8)], {}),
        "wide": ([m.Pooling(16, pooling_mode=("cls", "mean"))], {}),
        "roberta": ([m.Pooling(16, pooling_mode="mean", include_prompt=False)], prompts),
    }
    for name, (parts, texts) in made.items():
        first = m.Transformer(str(checkpoints["bert" if name == "wide" else name]))
        if first.tokenizer.pad_token is None:
            first.tokenizer.pad_token = first.tokenizer.eos_token
        sentence_model(root / name, [first, *parts], prompts=texts)
    return root


def test_the_modules_of_a_sentence_model_set_its_pooling_and_prompts(sentence_models, plain):
    for name, pooling, prompt in (("gpt2", "weighted_mean", ""), ("qwen2", "last", "books ")):
        embedder = in_torch(sentence_models / name)
        prompted = [prompt + text for text in TEXTS]
        expected = plain[name].embed(prompted, embedder.max_length, pooling)
        close(embedder.encode_documents(TEXTS), expected)
        assert embedder.notes == ()
    # Options override them.
    embedder = in_torch(sentence_models / "gpt2", pooling="last", layer="-2")
    check_equal(embedder, plain["gpt2"], "last", [2])


def test_modules_after_the_pooling_are_applied(sentence_models, plain):
    from safetensors.numpy import load_file

    embedder = in_torch(sentence_models / "t5")
    (weights,) = load_file(sentence_models / "t5" / "2_Dense" / "model.safetensors").values()
    means = np.array([plain["t5"].layers(text, None)[-1].mean(axis=0) for text in TEXTS])
    close(embedder.encode_documents(TEXTS), unit(np.tanh(means @ weights.T)))
    assert embedder.dim == 12


def test_a_prompt_is_left_out_of_pooling_where_the_model_requires_it(sentence_models, plain):
    roberta = plain["roberta"]
    # The special token at the beginning counts as the prompt's.
    prompt = len(roberta.tokenizer("books ")["input_ids"]) - 1
    tokens = [roberta.layers("books " + text, None)[-1] for text in TEXTS[:3]]
    vectors = in_torch(sentence_models / "roberta").encode_documents(TEXTS[:3])
    close(vectors, unit([rows[prompt:].mean(axis=0) for rows in tokens]))


def test_prompts_that_are_given_replace_the_models_own(sentence_models, plain):
    folder = sentence_models / "qwen2"
    own, other = in_torch(folder), in_torch(folder, query_prompt="light ", document_prompt="")
    prompted = [f"light {text}" for text in TEXTS]
    close(other.encode_queries(TEXTS), plain["qwen2"].embed(prompted, 40, "last"))
    check_equal(other, plain["qwen2"], "last")
    assert other.fingerprint != own.fingerprint
    assert '"prompts":{"query":"light "}' in other.fingerprint
    options = {"runtime": "torch", "query_prompt": "light ", "document_prompt": ""}
    assert other.spec.options == options
    assert load_embedder(other.spec).fingerprint == other.fingerprint
    same = in_torch(folder, query_prompt="read: ", document_prompt="books ")
    assert same.fingerprint == own.fingerprint


def copy_with(model, folder, **config):
    """Copy a sentence model and change its configuration."""
    path = shutil.copytree(model, folder) / "config_sentence_transformers.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **config}))
    return folder


def test_prompts_for_other_tasks_are_noted(sentence_models, tmp_path):
    prompts = {"retrieval": "find: ", "sorting": "sort: ", "nothing": ""}
    tasks = copy_with(sentence_models / "gpt2", tmp_path / "tasks", prompts=prompts)
    (note,) = in_torch(tasks).notes
    expected = "The model has prompts for retrieval, sorting, but none for queries or doc"
    assert note.startswith(expected)
    assert in_torch(tasks, query_prompt="find: ").notes == ()
    assert in_torch(sentence_models / "qwen2").notes == ()


def test_dim_keeps_the_first_numbers_of_a_vector(checkpoints):
    whole = in_torch(checkpoints["bert"])
    short = in_torch(checkpoints["bert"], dim=5)
    close(short.encode_queries(TEXTS), unit(whole.encode_queries(TEXTS)[:, :5]))
    assert (short.dim, short.spec.options["dim"]) == (5, 5)
    assert '"dim":5' in short.fingerprint
    assert in_torch(checkpoints["bert"], dim=16).fingerprint == whole.fingerprint


def test_dim_is_at_most_the_width_after_pooling_and_the_last_module(sentence_models):
    t5, both = sentence_models / "t5", sentence_models / "wide"
    assert in_torch(t5, dim=12).dim == 12
    # Two poolings side by side are twice as wide; one alone is not.
    for options, dim in (({}, 32), ({"dim": 17}, 17), ({"pooling": "cls"}, 16)):
        assert in_torch(both, **options).dim == dim
    message = "dim is {}; the vectors of this model have {} numbers"
    refused(InputError, message.format(17, 16), in_torch, both, pooling="cls", dim=17)
    refused(InputError, message.format(13, 12), in_torch, t5, dim=13)


def test_the_dim_of_a_sentence_model_can_be_overridden(sentence_models, tmp_path):
    folder = copy_with(sentence_models / "gpt2", tmp_path / "cut", truncate_dim=6)
    own, wider = in_torch(folder), in_torch(folder, dim=10)
    assert (own.dim, wider.dim) == (6, 10)
    assert '"dim"' not in own.fingerprint
    assert '"dim":10' in wider.fingerprint
    assert wider.encode_queries(TEXTS).shape == (len(TEXTS), 10)


@pytest.fixture(scope="module")
def bytes_model(tmp_path_factory):
    """T5 over bytes: its tokenizer is written in Python, without a Rust one."""
    import torch
    from transformers import ByT5Tokenizer, T5Config, T5EncoderModel

    folder = tmp_path_factory.mktemp("own") / "bytes"
    torch.manual_seed(3)
    config = T5Config(vocab_size=384, **{**T5, "num_layers": 2})
    T5EncoderModel(config).save_pretrained(folder)
    ByT5Tokenizer(model_max_length=60).save_pretrained(folder)
    return folder


def test_a_python_tokenizer_truncates_and_counts_like_a_rust_one(bytes_model):
    texts = ["", *TEXTS, " \n"]
    embedder = in_torch(bytes_model, pooling="max", batch_size=2)
    assert embedder.tokenizer_json is None
    assert not embedder._opened.card.plain
    vectors, report = embedder.encode_and_report(texts)
    close(vectors[1:-1], Plain(bytes_model).embed(TEXTS, 60, "max"))
    assert not vectors[[0, -1]].any()
    # A token for each byte, and a special token at the end.
    lengths = [len(text.encode()) + 1 for text in TEXTS]
    assert report.texts == len(texts)
    assert report.tokens == sum(min(length, 60) for length in lengths)
    assert report.truncated == sum(length > 60 for length in lengths) == 2
    assert embedder.report_queries(texts) == report
    refused(InputError, "bytes has no vectors of words", embedder.encode_words, ["a"])


def test_a_python_tokenizer_supports_every_option(bytes_model):
    prompted = [f"ask {text}" for text in TEXTS]
    embedder = in_torch(bytes_model, layer="1", pooling="last", query_prompt="ask ")
    close(embedder.encode_queries(TEXTS), Plain(bytes_model).embed(prompted, 60, "last", [1]))


def test_layers_are_a_number_a_list_or_a_range():
    assert parse_layers("-2") == (-2,)
    assert parse_layers(3) == (3,)
    assert parse_layers("-4,-3,-2,-1") == parse_layers("-4..-1") == (-4, -3, -2, -1)
    assert parse_layers("0, 2..4") == (0, 2, 3, 4)


def test_invalid_layers_are_refused():
    for written in ("", "two", "1.5", "1,", "4..1", "-1..2", "0..9999", True, "--1"):
        refused(InputError, "layer is .*; expected one layer, such as -2", parse_layers, written)


@given(st.integers(1, 40), st.data())
def test_layers_counted_from_the_end_are_the_same(count, data):
    layers = data.draw(st.lists(st.integers(0, count), min_size=1, unique=True))
    from_the_end = [layer - count - 1 for layer in layers]
    assert resolve_layers(layers, count, "m") == tuple(sorted(layers))
    assert resolve_layers(from_the_end, count, "m") == tuple(sorted(layers))


INVALID = [
    ("pooling", "middle", "pooling is 'middle'; expected one of: mean, cls, last, weighted_mean"),
    ("layer", "x", "layer is 'x'; expected one layer, such as -2"),
    ("layer", "4", "layer is 4; this model has 3: expected 0 to 3, or -1 for the last to -4."),
    ("layer", "-1,3", "layer names a layer twice: -1,3, of 3. Name each once."),
    ("dim", "0", "dim is 0; expected a whole number from 1 up"),
    ("dim", "17", "dim is 17; the vectors of this model have 16 numbers: expected 1 to 16."),
    ("normalize", "no", "normalize is False; expected True. For vectors of their own length"),
]


@pytest.mark.parametrize(("name", "value", "message"), INVALID)
def test_invalid_options_have_the_same_error_in_python_and_on_the_command_line(
    checkpoints, collection, name, value, message
):
    model = f"contextual:{checkpoints['bert']}"
    with pytest.raises(InputError) as error:
        load_embedder(parse_spec(model, {name: value}))
    assert str(error.value).startswith(message)
    collection.add([Document("a", "a bank")])
    collection.close()
    place = str(collection.path)
    done = invoke("build", place, "x", "--embedder", model, "-o", name, value)
    assert done.exit_code == 1
    assert message in " ".join(done.output.split())


def test_options_from_the_command_line_are_those_of_python(checkpoints):
    text = {"layer": "-2", "dim": "4", "normalize": "true", "pooling": "max", "max_length": "9"}
    text["runtime"] = "torch"
    written = load_embedder(parse_spec(f"contextual:{checkpoints['bert']}", text))
    python = in_torch(checkpoints["bert"], layer=-2, dim=4, pooling="max", max_length=9)
    assert (written.fingerprint, written.spec) == (python.fingerprint, python.spec)
    for name, value, expected in (("layer", 1.5, "text or a"), ("dim", "wide", "a whole")):
        message = f"Option '{name}' of contextual is {value!r}; expected {expected}"
        refused(InputError, message, parse_spec, "contextual:x", {name: value})


def test_options_that_the_modules_do_not_support_are_refused(
    sentence_models, checkpoints, tmp_path
):
    from sentence_transformers.sentence_transformer.modules import LSTM, Pooling, Transformer

    parts = [Transformer(str(checkpoints["bert"])), LSTM(16, 8), Pooling(16, pooling_mode="mean")]
    folder = sentence_model(tmp_path / "lstm", parts)
    for name, value in (("pooling", "cls"), ("layer", 1)):
        message = (
            f"{name} cannot be chosen for this model with the modules Transformer, LSTM, Pooling; "
            f"expected Transformer, Pooling, and then only Dense or Normalize. Leave {name} out."
        )
        refused(InputError, exactly(message), in_torch, folder, **{name: value})
    message, bert = "its Dense layer expects 32 values", sentence_models / "bert"
    refused(InputError, message, in_torch, bert, pooling="mean")
    for value in (5, b"x"):
        message = f"query_prompt is {value!r}; expected text, which may be empty"
        refused(InputError, message, in_torch, bert, query_prompt=value)
