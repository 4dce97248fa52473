"""Tiny rerankers made from their configurations, and files of image regions."""

import json
import shutil
from pathlib import Path

import numpy as np

from tests.support.models.families import families, save, wordpiece

WIDTH = 20  # of the features that the tiny ViLBERT checkpoints take
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [*"abcdefghij", "cat", "dog", "red", "car", "on", "the", "grass", "ball", "##s", "##ing"]


def cross_encoder(folder, *, kind="BertForSequenceClassification", labels=1, seed=3):
    """Write a tiny cross-encoder with random weights; `kind` is its class in transformers."""
    import torch
    import transformers

    tokenizer, sizes = wordpiece(), families()["bert"][2]
    config = transformers.BertConfig(vocab_size=len(tokenizer), num_labels=labels, **sizes)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        getattr(transformers, kind)(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def late_interaction(folder, *, seed=3, **reading):
    """Write a tiny late-interaction model with random weights, which skips marks in documents."""
    import torch
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.base.modules import Dense, Normalize, Transformer
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

    plain = save("bert", folder.with_name(f"{folder.name}-plain"))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        parts = [
            Transformer(str(plain), **reading),
            Dense(16, 8, bias=False, module_input_name="token_embeddings"),
            MultiVectorMask(skiplist_words=[".", ",", "!"]),
            Normalize(module_input_name="token_embeddings"),
        ]
    model = MultiVectorEncoder(modules=parts, device="cpu")
    model.save(str(folder), create_model_card=False)
    return folder


def vilbert(source, folder):
    """Copy a checkpoint, and put a vocabulary of as many tokens as it has beside it."""
    shutil.copytree(source, folder, copy_function=shutil.copyfile)
    folder.chmod(0o755)
    size = json.loads((folder / "config.json").read_text())["vocab_size"]
    names = [*SPECIAL, *WORDS]
    names += [f"[unused{number}]" for number in range(size - len(names))]
    (folder / "vocab.txt").write_text("\n".join(names) + "\n", "utf-8")
    return folder


def regions(counts, *, seed=1, width=WIDTH):
    """Arrays of a file of regions: for each document as many random ones as `counts` says."""
    rng = np.random.default_rng(seed)
    total = sum(counts.values())
    corners = np.sort(rng.random((total, 2, 2)), axis=1).reshape(total, 4)
    area = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
    return {
        "doc_ids": np.array(list(counts)),
        "counts": np.array(list(counts.values())),
        "features": rng.normal(size=(total, width)).astype(np.float32),
        "boxes": np.column_stack([corners, area]).astype(np.float32),
    }


def write_regions(path, arrays):
    """Write arrays of regions in the format that the path's ending names."""
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    elif path.suffix == ".safetensors":
        from safetensors.numpy import save_file

        ids = json.dumps(arrays["doc_ids"].tolist()).encode()
        save_file({**arrays, "doc_ids": np.frombuffer(ids, np.uint8)}, path)
    else:
        import pyarrow as pa
        import pyarrow.parquet

        stops = np.cumsum(arrays["counts"])[:-1]
        columns = {
            name: [part.tolist() for part in np.split(arrays[name], stops)]
            for name in ("features", "boxes")
        }
        columns["doc_id"] = arrays["doc_ids"].tolist()
        if "sizes" in arrays:
            columns["width"], columns["height"] = arrays["sizes"].T.tolist()
        pa.parquet.write_table(pa.table(columns), path)
    return Path(path)
