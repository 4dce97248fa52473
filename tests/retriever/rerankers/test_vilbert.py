"""ViLBERT: equal to its authors' code, whatever is computed together; what is refused."""

import json

import numpy as np
import pytest
import torch

from indexes.errors import FileFormatError, InputError, ModelNotAvailableError
from retriever.rerankers.base import Candidate
from retriever.rerankers.vilbert.checkpoint import read_checkpoint
from retriever.rerankers.vilbert.network import VilbertInput, VilbertNet
from retriever.rerankers.vilbert.reranker import VilbertReranker
from retriever.rerankers.vilbert.tokenizer import VilbertTokenizer
from tests.support.models.rerankers import regions, vilbert, write_regions
from tests.support.toy import refused

CHECKPOINTS = ("multi_task", "multi_task_tokens", "pretrained")
EXPECTED = ("text_states", "image_states", "pooled_text", "pooled_image", "score")
GIVEN = ("input_ids", "attention_mask", "features", "boxes", "image_mask")


@pytest.fixture
def folder(data, tmp_path):
    return vilbert(data / "vilbert" / "multi_task_tokens", tmp_path / "model")


def reference(data, name):
    """The network of a checkpoint, and the inputs and activations of its authors' code."""
    arrays = np.load(data / "vilbert" / name / "activations.npz")
    net = VilbertNet(read_checkpoint(data / "vilbert" / name), "cpu", 8)
    return net, {key: torch.from_numpy(arrays[key]) for key in arrays.files}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_all_activations_equal_those_of_the_authors_code(data, name):
    net, arrays = reference(data, name)
    read = net.read(VilbertInput(*(arrays[key] for key in GIVEN)))
    found = read.text, read.image, read.pooled_text, read.pooled_image, read.score
    for key, one in zip(EXPECTED, found, strict=True):
        np.testing.assert_allclose(one, arrays[key], rtol=0, atol=1e-5, err_msg=key)


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_one_text_with_all_images_gives_the_scores_of_its_pairs(data, name):
    net, arrays = reference(data, name)
    ids, mask, *images = (arrays[key] for key in GIVEN)
    together = net.read(VilbertInput(ids[:1], mask[:1], *images)).score
    pairs = VilbertInput(ids[:1].repeat(len(ids), 1), mask[:1].repeat(len(ids), 1), *images)
    np.testing.assert_allclose(together, net.read(pairs).score, rtol=0, atol=1e-6)


def test_padding_of_either_stream_changes_no_score(data):
    net, arrays = reference(data, "multi_task")
    ids, _, features, boxes, _ = (arrays[key][:, :4] for key in GIVEN)
    ones = torch.ones(len(ids), 4)
    padded = torch.cat([ones, torch.zeros(len(ids), 2)], 1)
    wide = [arrays[key][:, :6] for key in ("input_ids", "features", "boxes")]
    short = net.read(VilbertInput(ids, ones, features, boxes, ones)).score
    long = net.read(VilbertInput(wide[0], padded, wide[1], wide[2], padded)).score
    np.testing.assert_allclose(short, long, rtol=0, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 2, 16])
def test_a_score_depends_on_its_own_image_only(folder, tmp_path, batch_size):
    counts = {"a": 3, "b": 9, "c": 1, "d": 9}
    file = str(write_regions(tmp_path / "r.npz", regions(counts)))
    candidates = [Candidate(name, "") for name in ("c", "d", "x", "a", "b")]
    reranker = VilbertReranker(folder, regions=file, batch_size=batch_size)
    found = reranker.scores("A red CAR", candidates)
    alone = [float(reranker.scores("a red car", [one])[0]) for one in candidates]
    np.testing.assert_allclose(found, alone, rtol=0, atol=1e-6)
    assert found.dtype == np.float32
    assert found[2] == -np.inf
    assert len(set(found.tolist())) == 5
    other = VilbertReranker(folder, regions=file, task=7).scores("a red car", candidates)
    assert not np.allclose(other[[0, 1, 3, 4]], found[[0, 1, 3, 4]], rtol=0, atol=1e-6)


def test_texts_are_read_as_bert_reads_them(folder):
    from transformers import BertTokenizer

    theirs = BertTokenizer.from_pretrained(folder)
    ours = VilbertTokenizer(folder, 50)
    for text in ("A red CAR!", "Cats playing [SEP] in rain", "", "grass " * 40):
        if "[SEP]" not in text:  # in a query it is text, not an end
            expected = theirs(text, truncation=True, max_length=30)["input_ids"]
            assert ours.tokens(text) == expected
    assert len(ours.tokens("grass " * 40)) == 30
    assert ours.tokens("[SEP]").count(3) == 1


def saved(folder, change):
    path = folder / "pytorch_model.bin"
    tensors = torch.load(path, weights_only=True)
    torch.save(change(tensors), path)
    return folder


def without(name):
    return lambda tensors: {key: of for key, of in tensors.items() if key != name}


@pytest.mark.parametrize(
    "name",
    [
        "bert.t_pooler.dense.bias",
        "bert.encoder.c_layer.1.biattention.key2.weight",
        "bert.embeddings.task_embeddings.weight",
    ],
)
def test_a_tensor_that_the_score_depends_on_must_be_there(folder, name):
    saved(folder, without(name))
    refused(ModelNotAvailableError, f"lacks tensors .*: {name}", read_checkpoint, folder)


@pytest.mark.parametrize("name", ["biOutput.q_dense1.weight", "vision_logit.weight"])
def test_a_tensor_that_no_score_depends_on_may_be_missing(folder, name):
    def change(tensors):
        return {key: of for key, of in tensors.items() if not key.endswith(name)}

    read_checkpoint(saved(folder, change))


def test_prefixes_and_other_files_of_the_same_tensors_give_the_same_checkpoint(folder):
    from safetensors.torch import save_file

    before = read_checkpoint(folder)
    saved(folder, lambda tensors: {f"module.{name}": of for name, of in tensors.items()})
    prefixed = read_checkpoint(folder)
    tensors = torch.load(folder / "pytorch_model.bin", weights_only=True)
    copies = {name: of.clone() for name, of in tensors.items()}  # two of them share memory
    save_file(copies, folder / "model.safetensors")
    (folder / "pytorch_model.bin").unlink()
    for again in (prefixed, read_checkpoint(folder)):
        assert again.tensors.keys() == before.tensors.keys()
        assert all(torch.equal(of, before.tensors[name]) for name, of in again.tensors.items())


def test_a_tensor_of_another_shape_is_named(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "v_feature_size": 21}))
    message = r"image_embeddings.weight in the shape \(32, 20\); config.json expects \(32, 21\)"
    refused(ModelNotAvailableError, message, read_checkpoint, folder)


class Code:
    def __reduce__(self):
        return print, ("run",)


@pytest.mark.parametrize("content", [{"x": Code()}, [1], {"x": 1}])
def test_a_pickle_of_more_than_tensors_is_refused(folder, content, capsys):
    saved(folder, lambda tensors: content)
    with pytest.raises(ModelNotAvailableError, match="pytorch_model.bin is not a"):
        read_checkpoint(folder)
    assert "run" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_size": None}, "hidden_size is None; expected a whole number"),
        ({"v_biattention_id": [2, 0]}, "expected ascending layers, as many in both"),
        ({"t_biattention_id": [1, 9]}, "expected ascending layers, as many in both"),
        ({"bi_num_attention_heads": 3}, "bi_num_attention_heads is 3, which does not divide 16"),
        ({"fusion_method": "sum"}, "fusion_method is 'sum'; only 'mul' is supported"),
        ({"model": "roberta"}, "model is 'roberta'; only 'bert' is supported"),
    ],
)
def test_a_configuration_that_is_not_computed_here_is_refused(folder, change, message):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **change}))
    refused(InputError, message, read_checkpoint, folder)


def test_a_folder_without_a_model_or_vocabulary_says_what_it_lacks(folder, tmp_path):
    file = str(write_regions(tmp_path / "r.npz", regions({"a": 2})))
    refused(ModelNotAvailableError, "config.json cannot be read", VilbertReranker, tmp_path)
    refused(InputError, "give -o regions FILE", VilbertReranker, folder)
    refused(InputError, "task is 20; expected", VilbertReranker, folder, task=20, regions=file)
    wide = str(write_regions(tmp_path / "w.npz", regions({"a": 2}, width=21)))
    refused(
        FileFormatError,
        r"expected numbers of shape \(2, 20\)",
        VilbertReranker,
        folder,
        regions=wide,
    )
    (folder / "vocab.txt").write_text("[CLS]\n[SEP]\n")
    refused(
        ModelNotAvailableError, "not a vocabulary of BERT", VilbertReranker, folder, regions=file
    )
    (folder / "vocab.txt").write_text("\n".join(map(str, range(60))) + "\n[UNK]\n[CLS]\n[SEP]\n")
    refused(InputError, "has 63 tokens, the model 50", VilbertReranker, folder, regions=file)
    (folder / "vocab.txt").unlink()
    refused(
        ModelNotAvailableError,
        "has no vocabulary: put the vocab.txt",
        VilbertReranker,
        folder,
        regions=file,
    )
