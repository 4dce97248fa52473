"""Agreement of word vectors with human judgments: `python -m benchmarks.words`.

Needs RETRIEVER_DATA. Writes `results/words.json`.

Word-in-Context (Pilehvar and Camacho-Collados 2019): two sentences have the same word; is it used
in the same sense? The answer here is yes where the cosine of the word's two vectors reaches a
threshold: the most accurate one on the training pairs, from which nothing else is learned.
Word similarity: Spearman's correlation of cosines with human ratings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib import util
from itertools import product
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.certificate import certificate, checksum, data_folder, save
from benchmarks.wordlayers import AS_THEY_ARE, CONTEXTUAL, adjusted, of_all_layers, pieces_of
from benchmarks.wordpairs import (
    SPLITS,
    Floats,
    Occurrence,
    Pairs,
    Rows,
    answers,
    at_two_digits,
    cosines_of,
    judge,
    read_pairs,
    same_sense,
    sides,
)
from retriever import ContextualEmbedder, StaticEmbedder
from retriever.embedders.base import Matrix
from retriever.embedders.tokenization.alignment import POOLINGS
from retriever.training.word_vectors.intrinsic_scores import ScoreFiles, score_words

COMMAND = "python -m benchmarks.words"
STATIC = "glove-6b-50d"
RATINGS = ("wordsim353.tsv", "simlex999.txt")


def static_rows(embedder: StaticEmbedder, pairs: Pairs) -> dict[str, Any]:
    """Evaluate a word that is one vector everywhere: its lemma, or its forms in the texts."""
    found = {}
    for label, name in (("lemma", lambda pair: pair.lemmas), ("form", lambda pair: pair.forms)):
        words, rows = sides(pairs, name)
        vectors = embedder.encode_queries(words)
        unknown = int((~vectors.any(axis=1)).sum())
        judged = judge(cosines_of(vectors, rows), pairs)
        found[label] = {**judged, "words": len(words), "unknown_words": unknown}
    return found


def contextual_rows(embedder: ContextualEmbedder, pairs: Pairs) -> dict[str, Any]:
    """Evaluate every layer, pooling and adjustment; layers together; and the sentences instead."""
    occurrences, rows = sides(pairs, lambda pair: pair.occurrences)
    started = perf_counter()
    vectors = of_all_layers(embedder, occurrences)
    seconds = perf_counter() - started
    known = np.unique(rows["train"])
    single = []
    for ways, layer in product(POOLINGS, range(embedder.layers + 1)):
        taken = vectors[ways][:, layer]
        for label, some in adjusted(taken, taken[known]).items():
            row = {"layer": layer, "pieces": ways, "adjusted": label}
            single.append({**row, **judge(cosines_of(some, rows), pairs)})
    texts, of_texts = sides(pairs, lambda pair: pair.texts)
    sentences = cosines_of(embedder.encode_documents(texts), of_texts)
    return {
        "occurrences": len(occurrences),
        "sentences": len(texts),
        "default": default_row(embedder, occurrences, vectors, rows, pairs),
        "encoding_s": seconds,
        "single": single,
        "chosen": {
            "as_they_are": best_on_train(row for row in single if row["adjusted"] == AS_THEY_ARE),
            "adjusted": best_on_train(single),
        },
        "joined": joined(vectors["mean"], rows, sentences, pairs),
    }


def best_on_train(rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return the row that the training pairs choose: best accuracy, then largest area."""
    return max(rows, key=lambda row: (row["accuracy"]["train"], row["area"]["train"]))


def joined(
    vectors: Matrix, rows: Rows, sentences: Mapping[str, Floats], pairs: Pairs
) -> dict[str, Any]:
    """Evaluate several layers together, averaged or concatenated, and sentences.

    The cosine of concatenated unit vectors is the mean of their cosines.
    """
    middle = vectors.shape[1] // 2
    found = {"sentence alone": judge(sentences, pairs)}
    layers = [cosines_of(vectors[:, layer], rows) for layer in range(vectors.shape[1])]
    for label, some in (
        (f"{middle - 1} to {middle + 1}", slice(middle - 1, middle + 2)),
        (f"0 to {len(layers) - 1}", slice(None)),
    ):
        mean = cosines_of(vectors[:, some].mean(axis=1), rows)
        found[f"layers {label}, mean"] = judge(mean, pairs)
        found[f"layers {label}, side by side"] = judge(_mean(layers[some]), pairs)
    taken = vectors[:, middle]
    known = taken[np.unique(rows["train"])]
    for label in (AS_THEY_ARE, "standardized"):
        one = cosines_of(adjusted(taken, known)[label], rows)
        name = f"layer {middle} {label} + sentence"
        found[name] = judge(_mean([one, sentences]), pairs)
    return found


def _mean(cosines: Sequence[Mapping[str, Floats]]) -> dict[str, Floats]:
    return {split: np.mean([some[split] for some in cosines], axis=0) for split in SPLITS}


def default_row(
    embedder: ContextualEmbedder,
    occurrences: Sequence[Occurrence],
    vectors: Mapping[str, Matrix],
    rows: Rows,
    pairs: Pairs,
) -> dict[str, Any]:
    """Evaluate the default layer of `encode_words`: by pooling of tokens, where it matters.

    That is in the pairs with a word of several tokens. Also with a threshold of two digits.
    """
    layer = (embedder.layers + 1) // 2
    several = pieces_of(embedder, occurrences) > 1
    of_several = {split: several[both].any(axis=1) for split, both in rows.items()}
    found = {}
    for ways in POOLINGS:
        cosines = cosines_of(vectors[ways][:, layer], rows)
        threshold = judge(cosines, pairs)["threshold"]
        found[ways] = {
            split: answers(cosines[split][some], same_sense(pairs[split])[some], threshold)
            for split, some in of_several.items()
        }
    cosines = cosines_of(vectors["mean"][:, layer], rows)
    return {
        "layer": layer,
        "words_of_several_pieces": float(several.mean()),
        "pairs_with_one": {split: int(some.sum()) for split, some in of_several.items()},
        "in_these_pairs": found,
        "two_digits": at_two_digits(cosines, pairs),
    }


def similarity_rows(
    static: StaticEmbedder, contextual: ContextualEmbedder, files: ScoreFiles
) -> list[dict[str, Any]]:
    """Return Spearman's correlation with human ratings of words, by vectors and by file."""
    words = sorted({word for _, lines in files.similarities for line in lines for word in line[:2]})
    known = [word for word in words if word in static.words]
    given = adjusted(np.stack([static.words[word] for word in known]), static.words.vectors)
    rows = [_scored("static", label, files, known, some) for label, some in given.items()]
    alone = contextual.encode_queries(words)
    rows.append(_scored("contextual", "the word as a text", files, words, alone))
    layers = of_all_layers(contextual, [(word, (0, len(word))) for word in words])
    for ways, layer in product(POOLINGS, range(contextual.layers + 1)):
        label = f"layer {layer}, {ways}"
        rows.append(_scored("contextual", label, files, words, layers[ways][:, layer]))
    return rows


def _scored(
    vectors: str, label: str, files: ScoreFiles, words: Sequence[str], some: Matrix
) -> dict[str, Any]:
    found = {
        score.name: {"spearman": score.value, "known": score.known, "pairs": score.total}
        for score in score_words(files, words, np.asarray(some, np.float32))
    }
    return {"vectors": vectors, "label": label, "scores": found}


def rating_files() -> list[Path]:
    """Return the files of rated pairs that gensim ships for its own tests."""
    found = util.find_spec("gensim")
    if found is None or not found.submodule_search_locations:
        raise SystemExit("gensim is not installed.")
    folder = Path(found.submodule_search_locations[0]) / "test" / "test_data"
    return [folder / name for name in RATINGS]


def main() -> None:
    """Measure, print, save."""
    folder = data_folder() / "wic"
    pairs = {split: read_pairs(folder, split) for split in SPLITS}
    files = ScoreFiles((), ScoreFiles.read(None, rating_files()).similarities)
    static = StaticEmbedder(STATIC)
    contextual = ContextualEmbedder(CONTEXTUAL, runtime="torch")
    in_context = contextual_rows(contextual, pairs)
    for row in in_context["single"]:
        figures = " ".join(f"{100 * value:.1f}" for value in row["accuracy"].values())
        print(row["layer"], row["pieces"], row["adjusted"], "|", figures)
    counts = {
        split: {
            "pairs": len(some),
            "same_sense": sum(pair.same for pair in some),
            "same_form": sum(pair.forms[0] == pair.forms[1] for pair in some),
        }
        for split, some in pairs.items()
    }
    read = [folder / f"{split}.{part}.txt" for split in SPLITS for part in ("data", "gold")]
    facts = {
        "data": "Word-in-Context; "
        + ", ".join(f"{len(some):,} {s}" for s, some in pairs.items())
        + " pairs; WordSim-353, SimLex-999",
        "data_checksum": checksum(*read, *rating_files()),
        "command": COMMAND,
        "models": [STATIC, CONTEXTUAL],
        "fingerprint": contextual.fingerprint,
    }
    result = {
        "pairs": counts,
        "static": static_rows(static, pairs),
        "contextual": in_context,
        "similarity": similarity_rows(static, contextual, files),
    }
    save("words", {"certificate": certificate(**facts), **result})


if __name__ == "__main__":
    main()
