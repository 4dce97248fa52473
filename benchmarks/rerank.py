"""The cost of rerankers: `python -m benchmarks.rerank`.

Writes `results/rerank.json`: seconds, processor seconds and peak memory for one query with 100
images of 37 regions, by a ViLBERT of the published size, and for one with 20 texts, by a
cross-encoder of the size of MiniLM with 6 layers. Weights and inputs are random: they change no
time.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.certificate import certificate, repeated, save
from retriever.rerankers.base import Candidate, Reranker

IMAGES, REGIONS, TEXTS = 100, 37, 20
QUERY = "two men play ball in the rain while a dog and a cat look on from the grass"
# The authors' bert_base_6layer_6conect.json.
VILBERT = {
    "vocab_size": 30522,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "v_feature_size": 2048,
    "v_hidden_size": 1024,
    "v_intermediate_size": 1024,
    "v_num_hidden_layers": 6,
    "v_num_attention_heads": 8,
    "bi_hidden_size": 1024,
    "bi_num_attention_heads": 8,
    "v_biattention_id": [0, 1, 2, 3, 4, 5],
    "t_biattention_id": [6, 7, 8, 9, 10, 11],
}
MINILM = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12}
MINILM |= {"intermediate_size": 1536, "max_position_embeddings": 512, "num_labels": 1}
WORDS = [f"word{number}" for number in range(2000)]
NAMES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *QUERY.split()]


def timed(reranker: Reranker, candidates: Sequence[Candidate], repeats: int) -> dict[str, Any]:
    """Rank candidates; return seconds a query, also those of all cores, and the peak of memory."""
    before = time.process_time()
    seconds = repeated(lambda: reranker.scores(QUERY, candidates), repeats=repeats)
    processor = (time.process_time() - before) / (repeats + 1)
    return {"query_seconds": seconds, "processor_seconds": processor, "peak_gb": peak()}


def peak() -> float:
    """Return the most memory that this process has held, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def write_vilbert(folder: Path) -> int:
    """Write a random checkpoint of the published size; return its number of weights."""
    import torch

    from retriever.rerankers.vilbert.checkpoint import FINE_TUNED, VilbertConfig, shapes_of

    config = VilbertConfig.of(folder / "config.json", VILBERT)
    shapes = dict(shapes_of(config, FINE_TUNED, 20))
    tensors = {name: torch.randn(shape) * 0.02 for name, shape in shapes.items()}
    (folder / "config.json").write_text(json.dumps(VILBERT))
    torch.save(tensors, folder / "pytorch_model.bin")
    (folder / "vocab.txt").write_text("\n".join(dict.fromkeys(NAMES)))
    return sum(of.numel() for of in tensors.values())


def write_regions(path: Path) -> None:
    """Write random regions of `IMAGES` images."""
    rng = np.random.default_rng(1)
    total = IMAGES * (REGIONS - 1)  # the mean is added
    np.savez(
        path,
        doc_ids=np.array([str(number) for number in range(IMAGES)]),
        counts=np.full(IMAGES, REGIONS - 1),
        features=rng.random((total, 2048), np.float32),
        boxes=np.tile(np.array([0.1, 0.2, 0.6, 0.9, 0.35], np.float32), (total, 1)),
    )


def measure_vilbert(folder: Path) -> dict[str, Any]:
    """Load the checkpoint in a folder, and rank all images for a query."""
    from retriever.rerankers.vilbert.reranker import VilbertReranker

    started = time.perf_counter()
    reranker = VilbertReranker(folder, regions=str(folder / "regions.npz"))
    loading = time.perf_counter() - started
    images = [Candidate(str(number), "") for number in range(IMAGES)]
    return {"loading_seconds": loading, **timed(reranker, images, 1)}


def measure_cross_encoder(folder: Path) -> dict[str, Any]:
    """Write a random cross-encoder to a folder, and rank texts of about 180 tokens."""
    import transformers

    from retriever.rerankers.cross_encoder import CrossEncoderReranker

    names = {name: number for number, name in enumerate(dict.fromkeys(NAMES))}
    config = transformers.BertConfig(vocab_size=30522, **MINILM)
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    transformers.BertTokenizer(vocab=names, model_max_length=512).save_pretrained(folder)
    reranker = CrossEncoderReranker(folder)
    rng = np.random.default_rng(1)
    lengths = rng.integers(120, 240, TEXTS)
    texts = [Candidate(str(n), " ".join(rng.choice(WORDS, n))) for n in lengths]
    return timed(reranker, texts, 7)


MEASURES = {"vilbert": measure_vilbert, "cross_encoder": measure_cross_encoder}


def in_a_fresh_process(what: str, folder: Path) -> dict[str, Any]:
    """Measure one reranker alone, so that the peak of memory is its own."""
    command = [sys.executable, "-m", "benchmarks.rerank", what, str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure both, and save the result."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "vilbert"
        folder.mkdir()
        weights = write_vilbert(folder)
        write_regions(folder / "regions.npz")
        vilbert = in_a_fresh_process("vilbert", folder)
        text = in_a_fresh_process("cross_encoder", Path(name) / "text")
    facts = certificate(
        data=f"random weights and inputs: {IMAGES} images of {REGIONS} regions, {TEXTS} texts of "
        "120 to 240 tokens"
    )
    vilbert |= {"weights": weights, "images": IMAGES, "regions": REGIONS}
    save("rerank", {**facts, "vilbert": vilbert, "cross_encoder": {**text, "texts": TEXTS}})


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(MEASURES[sys.argv[1]](Path(sys.argv[2]))))
    else:
        main()
