"""Git LFS pointers in place of files of models: every reader says what to run."""

import pytest

from indexes.errors import FileFormatError
from retriever.embedders import ElmoEmbedder, StaticEmbedder
from tests.support.sources.records import POINTER, write
from tests.support.toy import exactly, refused

STATIC = ("modules.json", "model.safetensors", "tokenizer.json")


def check(embedder, model, pointer):
    message = "is a Git LFS pointer, not the file itself. Run in its repository: git lfs pull"
    refused(FileFormatError, exactly(f"{pointer} {message}"), embedder, model)


@pytest.mark.parametrize("name", ["words.txt", "words.vec", "words.bin", "words.kv"])
def test_a_pointer_in_place_of_word_vectors(tmp_path, name):
    path = write(tmp_path / name, POINTER)
    check(StaticEmbedder, path, path)


def test_a_pointer_in_a_folder_of_word_vectors(tmp_path):
    write(tmp_path / "some_emb.npy", POINTER)
    write(tmp_path / "some_index.parquet", POINTER)
    check(StaticEmbedder, tmp_path, tmp_path / "some_emb.npy")


@pytest.mark.parametrize("name", STATIC)
def test_a_pointer_in_a_static_model(tmp_path, name):
    modules = '[{"idx": 0, "name": "0", "path": "", "type": "a.StaticEmbedding"}]'
    for file, content in zip(STATIC, (modules, "", ""), strict=True):
        write(tmp_path / file, POINTER if file == name else content)
    check(StaticEmbedder, tmp_path, tmp_path / name)


@pytest.mark.parametrize("name", ["options.json", "lm_weights.hdf5"])
def test_a_pointer_in_an_elmo(tmp_path, name):
    for file in ("options.json", "lm_weights.hdf5"):
        write(tmp_path / file, POINTER if file == name else b"")
    check(ElmoEmbedder, tmp_path, tmp_path / name)
