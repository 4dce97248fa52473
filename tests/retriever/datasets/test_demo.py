"""The demo's files are written before its long work."""

from contextlib import nullcontext

import pytest

from indexes.errors import InputError
from retriever import Collection
from retriever.datasets.demo import prepare
from tests.support.toy import refused


@pytest.mark.parametrize("name", ["queries.jsonl", "qrels.tsv"])
def test_a_file_that_cannot_be_written_is_said_before_anything_is_embedded(tmp_path, name):
    folder = tmp_path / "demo"
    (folder / name / "inside").mkdir(parents=True)
    message = rf"{name} cannot be written: Is a directory"
    refused(InputError, message, prepare, folder, lambda label: nullcontext(lambda *_: None))
    with Collection.open(folder / "library") as collection:
        assert collection.index_names() == []
