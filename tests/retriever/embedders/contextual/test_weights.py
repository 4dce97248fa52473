"""Weights that the files of a model do not fill: refused by name, or without effect."""

import json
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes.errors import ModelNotAvailableError
from retriever.embedders import ContextualEmbedder
from tests.support.laws import examples
from tests.support.models.families import TEXTS, save, sentence_model
from tests.support.toy import refused

# With a pooler that is not used, with another class in the file, with a decoder that is not read.
NAMES = ("bert", "mpnet", "gpt2", "llama", "t5")
WEIGHTS = "model.safetensors"


def read(folder):
    from safetensors.torch import load_file

    return load_file(folder / WEIGHTS)


def write(folder, weights):
    from safetensors.torch import save_file

    save_file(weights, folder / WEIGHTS, {"format": "pt"})
    return folder


def shaken(weights, names, seed=0):
    """Return the weights with noise added to those of these names."""
    import torch

    noise = torch.Generator().manual_seed(seed)
    return {
        name: weight + torch.randn(weight.shape, generator=noise) / 8 if name in names else weight
        for name, weight in weights.items()
    }


@pytest.fixture(scope="module")
def intact(tmp_path_factory):
    """For each family a checkpoint with no value of an untrained one, vectors and fingerprint."""
    root = tmp_path_factory.mktemp("intact")
    found = {}
    for name in NAMES:
        folder = save(name, root / name)
        weights = read(folder)
        write(folder, shaken(weights, weights))
        found[name] = folder, vectors_of(folder), in_torch(folder).fingerprint
    return found


def in_torch(folder, **options):
    return ContextualEmbedder(folder, runtime="torch", device="cpu", **options)


def vectors_of(folder):
    return in_torch(folder).encode_documents(TEXTS)


def damaged(weights, harm):
    """Return the weights after `harm`, from a name to what is done to it."""
    found = {}
    for name, weight in weights.items():
        kind = harm.get(name)
        if kind == "reshape":
            found[name] = weight.new_zeros([size + 1 for size in weight.shape])
        elif kind != "drop":
            found["module." * (kind == "prefix") + name] = weight
    return found


@settings(max_examples=examples(20), deadline=None)
@given(data=st.data())
def test_weights_that_are_not_filled_are_refused_or_have_no_effect(intact, tmp_path_factory, data):
    folder, right, fingerprint = intact[data.draw(st.sampled_from(NAMES))]
    weights = read(folder)
    beside = [name for name in weights if name.startswith(("pooler", "lm_head", "decoder"))]
    some = data.draw(st.sampled_from([list(weights), beside or list(weights)]))
    kinds = st.sampled_from(["drop", "prefix", "reshape"])
    harm = data.draw(st.dictionaries(st.sampled_from(some), kinds, min_size=1, max_size=3))
    copy = shutil.copytree(folder, tmp_path_factory.mktemp("harm") / "model")
    write(copy, damaged(weights, harm))
    try:
        found, message = in_torch(copy), ""
    except ModelNotAvailableError as error:
        found, message = None, str(error)
    if found is None:
        assert not harm.keys() <= set(beside)
        # The network that is read has no name for the one that is not.
        names = {name.removeprefix(own) for name in harm for own in ("transformer.", "model.")}
        assert any(name in message for name in names)
        return
    np.testing.assert_array_equal(found.encode_documents(TEXTS), right)
    assert found.fingerprint == fingerprint
    # Other values would not matter either.
    np.testing.assert_array_equal(vectors_of(write(copy, shaken(weights, harm, 1))), right)


def message_of(folder):
    with pytest.raises(ModelNotAvailableError) as error:
        in_torch(folder)
    return str(error.value).removeprefix(f"Sentence model {folder} has no usable weights: ")


def test_the_message_names_the_tensors_and_what_is_wrong(intact, tmp_path):
    folder = shutil.copytree(intact["bert"][0], tmp_path / "bert")
    weights, norm = read(folder), "embeddings.LayerNorm.weight"
    end = " Get its files again, or choose another model."
    write(folder, damaged(weights, {norm: "drop", "pooler.dense.weight": "drop"}))
    assert message_of(folder) == f"they lack 1 tensor that its vectors depend on: {norm}.{end}"
    write(folder, damaged(weights, {norm: "reshape", "pooler.dense.weight": "reshape"}))
    shape = "it is (17,), config.json expects (16,)"
    expected = "1 tensor that its vectors depend on has another shape"
    assert message_of(folder) == f"{expected}: {norm} ({shape}).{end}"
    write(folder, damaged(weights, dict.fromkeys(weights, "prefix")))
    message = message_of(folder)
    assert message.startswith("they lack 53 tensors that its vectors depend on: embeddings.LayerN")
    assert f" and 49 more (they have module.{norm[:-6]}bias: save the model again" in message
    assert "without the wrapper that wrote the prefix 'module.')" in message
    write(folder, weights)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 4}))
    assert "16 tensors that its vectors depend on: encoder.layer.3.att" in message_of(folder)
    # Weights without a place are ignored, as transformers does for a model without its head.
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 2}))
    assert in_torch(folder).layers == 2


def changed_parts(one, other):
    """Return the parts of the fingerprint in which two embedders differ."""
    one, other = json.loads(one.fingerprint), json.loads(other.fingerprint)
    return {name for name in one if one[name] != other[name]}


@pytest.mark.parametrize("options", [{}, {"layer": 1}, {"layer": "1,2"}])
@pytest.mark.parametrize("name", ["bert", "mpnet"])
def test_a_pooler_that_reaches_no_vector_is_not_in_the_fingerprint(intact, tmp_path, name, options):
    folder, right, _ = intact[name]
    copy = shutil.copytree(folder, tmp_path / name)
    pooler = [name for name in read(copy) if name.startswith("pooler")]
    write(copy, damaged(read(copy), dict.fromkeys(pooler, "drop")))
    complete, without = in_torch(folder, **options), in_torch(copy, **options)
    assert without.fingerprint == complete.fingerprint
    if not options:
        np.testing.assert_array_equal(without.encode_documents(TEXTS), right)
    write(copy, shaken(read(copy), {"embeddings.LayerNorm.bias"}))
    assert changed_parts(in_torch(copy, **options), complete) == {"weights"}


def test_a_pooler_whose_output_is_read_is_in_the_fingerprint(tmp_path):
    from sentence_transformers.sentence_transformer.modules import Transformer

    output = {"text": {"method": "forward", "method_output_name": "pooler_output"}}
    save("bert", tmp_path / "bert")
    part = Transformer(
        str(tmp_path / "bert"), modality_config=output, module_output_name="sentence_embedding"
    )
    folder = sentence_model(tmp_path / "pooled", [part])
    before = in_torch(folder)
    write(folder, shaken(read(folder), {"pooler.dense.bias"}))
    after = in_torch(folder)
    assert not np.allclose(before.encode_documents(TEXTS), after.encode_documents(TEXTS))
    assert changed_parts(before, after) == {"weights"}


@pytest.mark.parametrize("name", NAMES)
def test_weights_of_whole_numbers_are_refused_and_other_types_are_not(intact, tmp_path, name):
    import torch

    folder = shutil.copytree(intact[name][0], tmp_path / name)
    weights = read(folder)
    for kind, shown in ((torch.int8, "I8"), (torch.int64, "I64")):
        write(folder, {name: weight.to(kind) for name, weight in weights.items()})
        why = rf"whole numbers \({shown}\) as weights, such as .*Get its weights in float32"
        refused(ModelNotAvailableError, why, in_torch, folder)
    for kind in (torch.float64, torch.float16):
        write(folder, {name: weight.to(kind) for name, weight in weights.items()})
        assert (vectors_of(folder) * intact[name][1]).sum(axis=1) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("left", [0, 0.001, 0.5, 0.99])
def test_a_file_of_weights_that_ends_too_early_is_named(intact, tmp_path, left):
    folder = shutil.copytree(intact["bert"][0], tmp_path / "bert")
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(whole[: int(left * len(whole))])
    why = "bert: model.safetensors is damaged or ends too early; get it again"
    refused(ModelNotAvailableError, why, in_torch, folder)


@pytest.mark.parametrize("runtime", ["onnx", "auto"])
def test_a_model_without_usable_weights_is_not_exported(intact, tmp_path, monkeypatch, runtime):
    monkeypatch.setenv("RETRIEVER_CACHE", str(tmp_path / "cache"))
    folder = shutil.copytree(intact["bert"][0], tmp_path / "bert")
    write(folder, damaged(read(folder), {"embeddings.LayerNorm.bias": "drop"}))
    message = "lack 1 tensor that its vectors depend on: embeddings.LayerNorm.bias"
    refused(ModelNotAvailableError, message, ContextualEmbedder, folder, runtime=runtime)
    assert not list(tmp_path.rglob("*.onnx"))


def test_the_weights_of_other_modules_are_checked_too(intact, tmp_path):
    from sentence_transformers.sentence_transformer.modules import Dense, Pooling, Transformer

    parts = [Transformer(str(intact["bert"][0])), Pooling(16, pooling_mode="mean"), Dense(16, 8)]
    folder = sentence_model(tmp_path / "dense", parts)
    (there,) = folder.glob("*_Dense")
    weights = read(there)
    write(there, damaged(weights, dict.fromkeys(weights, "prefix")))
    name = "linear.weight"
    refused(ModelNotAvailableError, f"Missing.*{name}.*module.{name}", in_torch, folder)
    write(there, damaged(weights, {name: "reshape"}))
    refused(ModelNotAvailableError, rf"size mismatch for {name}.*\[9, 17\]", in_torch, folder)
    (there / WEIGHTS).unlink()
    refused(ModelNotAvailableError, "a Dense in 2_Dense, but it has no mo", in_torch, folder)


def test_loads_by_others_are_left_alone(intact):
    from transformers import BertModel

    in_torch(intact["bert"][0])
    assert isinstance(BertModel.from_pretrained(intact["bert"][0]), BertModel)
    _, found = BertModel.from_pretrained(intact["bert"][0], output_loading_info=True)
    assert not found["missing_keys"]
