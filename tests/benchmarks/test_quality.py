"""What is kept of an earlier run of the benchmark of quality."""

import json

import pytest

from benchmarks import quality
from indexes.errors import MismatchError


def test_a_fusion_that_is_kept_is_of_the_recipe(tmp_path, monkeypatch):
    monkeypatch.setenv("RETRIEVER_DATA", str(tmp_path))
    (tmp_path / "toy").mkdir()
    lines = (json.dumps({"_id": text, "text": text}) for text in ("north", "east"))
    (tmp_path / "toy" / "corpus.jsonl").write_text("\n".join(lines))
    fused = ("build", "--fuse", "bm25", "--fuse", "hashing", "--method")
    monkeypatch.setitem(quality.RECIPES, "fused", (*fused, "minmax"))
    data = quality.Data("toy", "none", "two words")
    for _ in range(2):
        with quality.build(tmp_path / "c", data, ["hashing", "bm25", "fused"]) as collection:
            assert collection.index_info("fused").options["fuse"] == "minmax"
    monkeypatch.setitem(quality.RECIPES, "fused", (*fused, "convex"))
    with pytest.raises(MismatchError, match="another definition"):
        quality.build(tmp_path / "c", data, ["hashing", "bm25", "fused"])
