"""Tables of contextual embeddings: their speed, and their vectors of words."""

from __future__ import annotations

from typing import Any

from docs.tables.results import certificate_line, result


def encode_table() -> str:
    """Return a sentence model in each runtime and precision, against sentence-transformers."""
    kept = result("encode")
    documents, queries = kept["documents"], kept["one_query"]
    lines = [
        "| MiniLM | documents/s | times | least cosine | padding | nDCG@10 | one query, p50, ms "
        "| p95, ms | times |",
        f"|---|{'---:|' * 8}",
    ]
    for name, row in documents["rows"].items():
        query = queries[name]
        numbers = row.get("computes", "float32").rsplit(" ", 1)[-1]
        padding = row.get("padding", documents["padding_theirs"])
        values = (
            f"{row['documents_per_second']:.1f}",
            f"{row['times_sentence_transformers']:.2f}",
            f"{row['cosine_least']:.5f}",
            f"{100 * padding:.1f} %",
            f"{kept['quality'][numbers]['nDCG@10']:.4f}",
            f"{query['p50_ms']:.2f}",
            f"{query['p95_ms']:.2f}",
            f"{1 / query['share_of_sentence_transformers']:.1f}",
        )
        lines.append(f"| {_way(name, row)} | {' | '.join(values)} |")
    first = kept["first_answer_seconds"]
    said = (
        f"`retriever search` in a fresh process: {first['torch']['median']:.1f} s with torch, "
        f"{first['onnx']['median']:.1f} s with an exported copy."
    )
    return "\n".join([*lines, "", said, "", certificate_line(kept["certificate"])])


def _way(name: str, row: dict[str, Any]) -> str:
    """Return the name of a runtime for display."""
    if "computes" not in row:
        return "`SentenceTransformer.encode`"
    return f"`-o precision auto`: {row['computes']}" if name == "auto" else str(row["computes"])


def words_table() -> str:
    """Return Word-in-Context at every layer, adjusted or not, and of the sentences."""
    kept = result("words")
    rows, splits = kept["contextual"]["single"], list(kept["pairs"])
    ways = list(dict.fromkeys(row["adjusted"] for row in rows))
    lines = [
        f"| right, %: {' / '.join(splits)} | {' | '.join(ways)} | area, as they are |",
        f"|---|{'---:|' * (len(ways) + 1)}",
    ]
    of = {(row["layer"], row["pieces"], row["adjusted"]): row for row in rows}
    for layer in range(1 + max(row["layer"] for row in rows)):
        found = [of[layer, "mean", way] for way in ways]
        cells = [_of_splits(row["accuracy"]) for row in found]
        cells.append(_of_splits(found[0]["area"]))
        lines.append(f"| MiniLM, layer {layer} | {' | '.join(cells)} |")
    lines += ["", f"| | {' | '.join(splits)} | area: {' / '.join(splits)} |"]
    lines.append(f"|---|{'---:|' * (len(splits) + 1)}")
    others = {
        "GloVe, the dictionary's form": kept["static"]["lemma"],
        "GloVe, the form in the sentence": kept["static"]["form"],
        **{f"MiniLM, {label}": row for label, row in kept["contextual"]["joined"].items()},
    }
    for name, row in kept["contextual"]["chosen"].items():
        what = f"layer {row['layer']}, {row['pieces']}, {row['adjusted']}"
        label = "" if name == "as_they_are" else ", of all above"
        others[f"MiniLM, {what}: what train chooses{label}"] = row
    for label, row in others.items():
        values = [f"{100 * row['accuracy'][split]:.1f}" for split in splits]
        lines.append(f"| {label} | {' | '.join(values)} | {_of_splits(row['area'])} |")
    return "\n".join([*lines, "", certificate_line(kept["certificate"])])


def pieces_table() -> str:
    """Return Word-in-Context by how the tokens of a word are pooled, and where it matters."""
    kept = result("words")
    default, rows = kept["contextual"]["default"], kept["contextual"]["single"]
    ways, splits = list(default["in_these_pairs"]), list(kept["pairs"])
    lines = [
        f"| right, %: {' / '.join(splits)} | {' | '.join(ways)} |",
        f"|---|{'---:|' * len(ways)}",
    ]
    plain = [row for row in rows if row["adjusted"] == "as they are"]
    of = {(row["layer"], row["pieces"]): _of_splits(row["accuracy"]) for row in plain}
    for layer in range(1 + max(row["layer"] for row in rows)):
        lines.append(f"| layer {layer} | {' | '.join(of[layer, way] for way in ways)} |")
    few = default["in_these_pairs"]
    count = " / ".join(f"{default['pairs_with_one'][split]:,}" for split in splits)
    lines.append(f"| *layer {default['layer']}, pairs with a word of several pieces ({count})* |")
    lines[-1] += " |" * len(ways)
    labels = {"accuracy": "right", "said_same": "said to be the same", "are_same": "are the same"}
    for key, label in {**labels, "area": "area"}.items():
        cells = [_of_splits({split: few[way][split][key] for split in splits}) for way in ways]
        lines.append(f"| ... {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _of_splits(values: dict[str, float]) -> str:
    return " / ".join(f"{100 * value:.1f}" for value in values.values())


def similarity_table() -> str:
    """Return Spearman's correlation of cosines with human ratings of words."""
    kept = result("words")["similarity"]
    files = {"wordsim353.tsv": "WordSim-353", "simlex999.txt": "SimLex-999"}
    names = {"static": "GloVe 6B 50d", "contextual": "MiniLM"}
    lines = ["| | " + " | ".join(files.values()) + " | pairs known |", "|---|---:|---:|---:|"]
    for row in kept:
        if row["label"].endswith((", first", ", last")):
            continue
        scores = [row["scores"][name] for name in files]
        values = " | ".join(f"{score['spearman']:.3f}" for score in scores)
        known, all_pairs = (sum(score[key] for score in scores) for key in ("known", "pairs"))
        label = f"{names[row['vectors']]}, {row['label'].removesuffix(', mean')}"
        lines.append(f"| {label} | {values} | {known:,} of {all_pairs:,} |")
    return "\n".join(lines)
