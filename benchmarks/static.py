"""The speed of static embedding against its peers: `python -m benchmarks.static`.

Needs RETRIEVER_DATA. Writes `results/static.json`. All systems run in this process, taking turns;
each figure is the median of several repeats with its spread. model2vec is measured if installed:
`pip install model2vec --no-deps` (its `distill` extra would change transformers).

With `--against`, encoding alone is measured, in this checkout and in another one; that writes
`results/static_against.json`.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from importlib import metadata, util
from pathlib import Path
from time import perf_counter
from typing import Any

import faiss
import numpy as np

from benchmarks.certificate import (
    certificate,
    checksum,
    collection_folder,
    data_folder,
    save,
    summary,
)
from benchmarks.speed import gensim_means
from benchmarks.turns import PAIRS, SETS, against
from indexes.text.normalize import normalize_all
from retriever import Collection, StaticEmbedder, read_queries
from retriever.embedders.hub import locate_sentence_model

REPEATS = 5
WIDTH = 256
QUERY = "does vitamin d deficiency raise the risk of falls in older women"
Systems = Mapping[str, Callable[[], object]]


def in_turns(systems: Systems) -> dict[str, dict[str, float]]:
    """Time each system in seconds, taking turns, after one round of warm-up."""
    seconds: dict[str, list[float]] = {name: [] for name in systems}
    for turn in range(REPEATS + 1):
        for name, run in systems.items():
            started = perf_counter()
            run()
            if turn:
                seconds[name].append(perf_counter() - started)
    return {name: summary(some) for name, some in seconds.items()}


def rates(seconds: Mapping[str, Mapping[str, float]], texts: int) -> dict[str, Any]:
    """Return documents per second of each system, and our speedup over the others."""
    ours = seconds["ours"]["median"]
    return {
        "documents_per_second": {name: texts / some["median"] for name, some in seconds.items()},
        "ours_times": {
            name: some["median"] / ours for name, some in seconds.items() if name != "ours"
        },
        "seconds": seconds,
    }


def glove(texts: list[str]) -> dict[str, Any]:
    """Time GloVe 50d: ours, model2vec over the same vectors, gensim's mean of split words."""
    embedder = StaticEmbedder("glove-6b-50d")
    words = embedder.words
    gensim_loop = gensim_means(words, texts)
    systems: dict[str, Callable[[], object]] = {
        "ours": lambda: embedder.encode_documents(texts),
        "gensim_without_tokenizing": gensim_loop,
    }
    if (peer := _model2vec(_word_tokenizer(list(words)), _with_unknown(words.vectors))) is not None:
        systems["model2vec"] = lambda: peer.encode(texts, max_length=None)
    _check_equal("gensim", embedder.encode_documents(texts[:99]), gensim_loop()[:99])
    return rates(in_turns(systems), len(texts))


def token_table(texts: list[str]) -> dict[str, Any]:
    """Time a table of 256 numbers per token: ours, sentence-transformers, model2vec."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    place, _ = locate_sentence_model("all-MiniLM-L6-v2")
    tokenizer = Tokenizer.from_file(str(Path(place) / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    # Only the shape matters here.
    table = np.random.default_rng(0).normal(size=(tokenizer.get_vocab_size(), WIDTH))
    table = table.astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        peer = SentenceTransformer(modules=[StaticEmbedding(tokenizer, table)], device="cpu")
        peer.save(folder)
        started = perf_counter()
        embedder = StaticEmbedder(folder)
        embedder.encode_documents(texts)
        first = perf_counter() - started
        systems: dict[str, Callable[[], object]] = {
            "ours": lambda: embedder.encode_documents(texts),
            "sentence_transformers": lambda: peer.encode(texts),
        }
        if (other := _model2vec(tokenizer, table)) is not None:
            systems["model2vec"] = lambda: other.encode(texts, max_length=None)
        _check_equal("sentence-transformers", embedder.encode_documents(texts), peer.encode(texts))
        return {
            "ours_first_time_with_opening_documents_per_second": len(texts) / first,
            **rates(in_turns(systems), len(texts)),
            "one_query_us": one_query(embedder),
        }


def one_query(embedder: StaticEmbedder) -> dict[str, float]:
    """Time encoding one query of a dozen words in microseconds, in a warm process."""
    seconds = []
    for turn in range(5_100):
        started = perf_counter()
        embedder.encode_queries([QUERY])
        if turn >= 100:
            seconds.append((perf_counter() - started) * 1e6)
    return {"p50": float(np.percentile(seconds, 50)), "p95": float(np.percentile(seconds, 95))}


SELECT_TEXTS = f"SELECT key, text FROM texts WHERE key IN ({','.join('?' * 10)})"
SELECT_HITS = f"""
    SELECT key, doc_id, title, text, metadata FROM passages
    JOIN documents USING (document) JOIN texts USING (document)
    WHERE key IN ({",".join("?" * 10)})
"""


def search(library: Collection, folder: Path, queries: list[str]) -> dict[str, Any]:
    """Time `library.search` with its text, against bare FAISS over the same vectors and one SELECT.

    The SELECT is from a table of only keys and texts, and also of the same columns from the
    collection's own tables.
    """
    embedder = StaticEmbedder("glove-6b-50d")
    texts = [f"{d.title} {d.text}".strip() for d in library.documents()]
    flat = faiss.IndexFlatIP(embedder.dim)
    flat.add(embedder.encode_documents(texts))
    with tempfile.TemporaryDirectory() as temporary:
        plain = sqlite3.connect(f"{temporary}/texts.db")
        plain.execute("CREATE TABLE texts (key INTEGER PRIMARY KEY, text TEXT)")
        own = sqlite3.connect(folder / "catalog.db")
        keys = [key for (key,) in own.execute("SELECT key FROM passages ORDER BY key")]
        plain.executemany("INSERT INTO texts VALUES (?, ?)", zip(keys, texts, strict=True))
        plain.commit()

        def bare(connection: sqlite3.Connection, sql: str, vector: Any) -> list[Any]:
            rows = flat.search(vector, 10)[1][0].tolist()
            return connection.execute(sql, [keys[row] for row in rows]).fetchall()

        retriever = library.retriever("glove")
        seconds, parts = [], []
        for turn in range(REPEATS + 1):
            for query in queries:
                vector = embedder.encode_queries([query])
                marks = [perf_counter()]
                for run in (
                    partial(bare, plain, SELECT_TEXTS, vector),
                    partial(bare, own, SELECT_HITS, vector),
                    partial(library.search, query, index="glove", k=10),
                ):
                    found = run()
                    marks.append(perf_counter())
                timing = retriever.answer([query], 10)[1]
                if turn and len(found) == 10:
                    seconds.append(np.diff(marks))
                    parts.append((timing.encoding, timing.searching, timing.fetching))
        plain.close()
        own.close()
    texts_only, same_columns, ours = (1000 * np.median(seconds, axis=0)).tolist()
    encoding, searching, fetching = (1000 * np.median(parts, axis=0)).tolist()
    return {
        "ours_p50_ms": ours,
        "bare_faiss_and_table_of_texts_p50_ms": texts_only,
        "bare_faiss_and_the_same_columns_p50_ms": same_columns,
        "ratio": ours / texts_only,
        "ratio_to_the_same_columns": ours / same_columns,
        "parts_p50_ms": {"encoding": encoding, "searching": searching, "fetching": fetching},
    }


def _model2vec(tokenizer: Any, table: Any) -> Any:
    """Return model2vec's model over a tokenizer and a table; None where it is not installed."""
    if util.find_spec("model2vec") is None:
        return None
    from model2vec import StaticModel

    return StaticModel(table, tokenizer, normalize=True)


def _word_tokenizer(words: list[str]) -> Any:
    """Return a tokenizer of whole words, split at everything but letters and digits."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    vocabulary = {word: row for row, word in enumerate([*words, "[UNK]"])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    separators = Regex(r"[^\p{L}\p{M}\p{N}]+")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(separators, "removed")
    return tokenizer


def _with_unknown(vectors: Any) -> Any:
    return np.concatenate([vectors, np.zeros((1, vectors.shape[1]), np.float32)])


def _check_equal(peer: str, ours: Any, theirs: Any) -> None:
    """Exit where the two do not compute the same: then their times mean nothing."""
    theirs = theirs / np.maximum(np.linalg.norm(theirs, axis=1, keepdims=True), 1e-12)
    worst = float(np.abs(ours - theirs).max())
    if worst > 1e-4:
        raise SystemExit(f"Ours and {peer}'s vectors differ by {worst}.")


def compared(checkout: Path) -> None:
    """Measure the encoding of this checkout and of another one, print and save it."""
    files = [data_folder() / of / name for of in SETS for name in ("corpus.jsonl", "queries.jsonl")]
    facts = {
        "data": "BEIR SciFact and Cranfield, GloVe 50d",
        "data_checksum": checksum(*files),
        "command": "python -m benchmarks.static --against CHECKOUT",
        "repeats": PAIRS,
    }
    result = {"certificate": certificate(**facts), **against(checkout)}
    print(json.dumps(result, indent=1))
    save("static_against", result)


def main() -> None:
    """Measure everything, print it, save it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", type=Path, help="another checkout of this repository")
    if other := parser.parse_args().against:
        compared(other.resolve())
        return
    data = data_folder() / "scifact"
    folder = collection_folder("scifact")
    with Collection.open_or_create(folder) as library:
        library.add(data / "corpus.jsonl")
        library.build("glove", StaticEmbedder("glove-6b-50d"))
        # In normal form, as ours reads them: the peers would read other words.
        texts = normalize_all([f"{d.title} {d.text}" for d in library.documents()])
        queries = list(read_queries(data / "queries.jsonl").values())[:300]
        result = {
            "glove_50d": glove(texts),
            "one_glove_query_us": one_query(StaticEmbedder("glove-6b-50d")),
            "token_table_256d": token_table(texts),
            "search_with_text": search(library, folder, queries),
        }
    there = util.find_spec("model2vec") is not None
    if not there:
        print("model2vec was skipped; to include it: pip install model2vec --no-deps")
    print(json.dumps(result, indent=2))
    facts = {
        "data": "BEIR SciFact, 5,183 documents",
        "data_checksum": checksum(data / "corpus.jsonl", data / "queries.jsonl"),
        "command": "python -m benchmarks.static",
        "repeats": REPEATS,
        "model2vec": metadata.version("model2vec") if there else "not installed",
    }
    save("static", {"certificate": certificate(**facts), **result})


if __name__ == "__main__":
    main()
