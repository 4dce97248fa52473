"""What cog writes into the docs: tables from benchmark results, `--help` of every command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
COLUMNS = (
    ("nDCG@10", "nDCG@10", "{:.3f}"),
    ("recall@10", "R@10", "{:.3f}"),
    ("recall@100", "R@100", "{:.3f}"),
    ("MRR@10", "RR@10", "{:.3f}"),
    ("ann_recall@10", "ann_recall@10", "{:.3f}"),
    ("one query, p50, ms", "total_p50_ms", "{:.2f}"),
    ("encoding, ms", "encoding_p50_ms", "{:.3f}"),
    ("p99, ms", "total_p99_ms", "{:.2f}"),
    ("queries/s in a batch", "queries_per_second_in_a_batch", "{:,.0f}"),
    ("to build, s", "building_s", "{:.1f}"),
    ("... MB", "building_memory_bytes", "{:,.0f}"),
    ("open, MB", "open_memory_bytes", "{:,.0f}"),
    ("on disk, MB", "disk_bytes", "{:.1f}"),
)
# What decides, for a page that not everybody reads to the end.
SHORT = ("nDCG@10", "R@100", "total_p50_ms", "encoding_p50_ms", "disk_bytes")
TITLES = {"scifact": "SciFact", "cranfield": "Cranfield"}


def result(name: str) -> Any:
    """A benchmark's result."""
    return json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())


def quality_table(name: str, *, short: bool = False) -> str:
    """A test collection through all systems, and the certificate of the numbers.

    Marked is what differs significantly from BM25.
    """
    kept = result(f"quality-{name}")
    columns = [one for one in COLUMNS if not short or one[1] in SHORT]
    heads = " | ".join(label for label, _, _ in columns)
    lines = [f"| {TITLES[name]} | {heads} |", f"|---|{'---:|' * len(columns)}"]
    for system, row in kept["rows"].items():
        values = [_cell(row, key, form) for _, key, form in columns]
        lines.append(f"| {system} | {' | '.join(values)} |")
    said = (
        "▲ and ▼: significantly better and worse than bm25 (paired randomization test, p < 0.05 "
        "after Holm's correction); the others are not distinguishable from it."
    )
    return "\n".join([*lines, "", said, "", certificate_line(kept["certificate"])])


def _cell(row: dict[str, Any], key: str, form: str) -> str:
    value = row["embedding_s"] + row["indexing_s"] if key == "building_s" else row[key]
    if value is None:
        return "-"
    text = form.format(value * (1e-6 if key.endswith("_bytes") else 1))
    difference = row["differences"].get(key)
    if difference is None or not difference["significant"]:
        return text
    return f"{text} {'▲' if difference['mean'] > 0 else '▼'}"


def certificate_line(certificate: dict[str, Any]) -> str:
    """Where a number comes from, in a sentence."""
    versions = certificate["versions"]
    return (
        f"*`{certificate['command']}`, {certificate['date']}: {certificate['data']} (checksum "
        f"{certificate['data_checksum']}); {certificate['processor']}, {certificate['cores']} "
        f"cores; Python {certificate['python']}, faiss-cpu {versions['faiss-cpu']}, "
        f"sentence-transformers {versions['sentence-transformers']}, torch {versions['torch']}.*"
    )


def speed_list() -> str:
    """The figures of `benchmarks/speed.py`, a line each, with their spread."""
    kept = result("speed")
    start, adding = kept["open_to_first_static_query_s"], kept["add_5183_documents_s"]
    static, query = kept["static_encoding"], kept["one_static_query"]
    lines = [
        "| what | median | spread |",
        "|---|---:|---:|",
        _seconds("open SciFact, then the first static query's hits", start),
        _seconds("add 5,183 documents", adding["first"]),
        _seconds("add the same again, unchanged", adding["unchanged"]),
        _seconds("encode 5,183 documents with GloVe 50d, ours", static["ours_s"]),
        _seconds("the same words through gensim's `get_mean_vector`", static["gensim_s"]),
    ]
    for width, counts in kept["exact_search"].items():
        for name, part in counts.items():
            lines.append(
                f"| exact search, {name}, 5,183 vectors {width}: ours / FAISS flat "
                f"| {part['ours_ms']:.3f} / {part['faiss_ms']:.3f} ms | ratio {part['ratio']:.2f} |"
            )
    parts = f"{query['encoding_ms']:.2f} + {query['searching_ms']:.2f} + {query['fetching_ms']:.2f}"
    lines.append(
        f"| one static query: encoding + searching + fetching text | {query['total_ms']:.2f} ms "
        f"| {parts} |"
    )
    return "\n".join([*lines, "", certificate_line(kept["certificate"])])


def _seconds(label: str, times: dict[str, float]) -> str:
    spread = f"{times['fastest']:.3f} to {times['slowest']:.3f} s"
    return f"| {label} | {times['median']:.3f} s | {spread} |"


def weightings_table() -> str:
    """What each weighting of GloVe finds, and the certificate of the numbers."""
    from benchmarks.weightings import table

    kept = result("weightings")
    return "\n".join([table(kept), "", certificate_line(kept["certificate"])])


TASKS = {
    "arxiv-100k": ("arXiv", "R@10"),
    "scifact": ("SciFact", "nDCG@10"),
    "cranfield": ("Cranfield", "nDCG@10"),
}
VECTORS = {
    "word2vec": "word2vec, trained here",
    "fasttext": "fastText, trained here",
    "glove": "GloVe, trained here",
    "glove-6b": "GloVe 6B 50d",
    "hashing": "hashing",
}


def training_table() -> str:
    """Trained vectors beside GloVe 6B: training time, and what each weighting finds."""
    kept = result("training")
    heads = [f"{title}: {measure}" for title, measure in TASKS.values()]
    lines = [
        f"| vectors | weighting | trained in, s | words/s | {' | '.join(heads)} |",
        f"|---|---|{'---:|' * (2 + len(heads))}",
    ]
    for row in kept["scifact"]:
        vectors, _, weighting = row.rpartition("-") if row != "hashing" else (row, "", "")
        facts = kept["training"].get(vectors, {})
        time = f"{facts['seconds']:,.0f} | {facts['words_per_second']:,.0f}" if facts else "- | -"
        values = " | ".join(f"{kept[task][row][m]:.3f}" for task, (_, m) in TASKS.items())
        lines.append(f"| {VECTORS[vectors]} | {weighting or '-'} | {time} | {values} |")
    said = (
        "arXiv: 1,000 titles, each of one document that is right (made-up judgments). SciFact and "
        "Cranfield are asked through the same vectors, which were not trained on them."
    )
    return "\n".join([*lines, "", said, "", certificate_line(kept["certificate"])])


def distilling_table() -> str:
    """How near a student comes to its teacher, on each collection."""
    kept = result("distilling")
    lines = [
        "| | MiniLM, nDCG@10 | student's queries, MiniLM's documents | student on both sides "
        "| cosine, held out | whole command, s |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for task in kept["tasks"].values():
        sides = [
            f"{task[side]:.3f}, {100 * task[f'{side}_share']:.1f} % "
            f"({100 * least:.1f} to {100 * most:.1f})"
            for side in ("queries_only", "both_sides")
            for least, most in [task[f"{side}_spread"]]
        ]
        lines.append(
            f"| {task['label']} | {task['teacher']:.3f} | {' | '.join(sides)} "
            f"| {task['cosine']:.3f} | {task['whole_s']:.0f} |"
        )
    said = "Means over the seeds, with the least and the most of them."
    return "\n".join([*lines, "", said, "", certificate_line(kept["certificate"])])


def ablation_table() -> str:
    """One thing of the recipe changed at a time: queries only / both sides, nDCG@10."""
    tasks = [task for task in result("distilling")["tasks"].values() if task["ablation"]]
    labels = [task["label"] for task in tasks]
    lines = [f"| | {' | '.join(labels)} |", f"|---|{'---:|' * len(tasks)}"]
    for variant in tasks[0]["ablation"]:
        found = [task["ablation"][variant] for task in tasks]
        values = [f"{one['queries_only']:.3f} / {one['both_sides']:.3f}" for one in found]
        lines.append(f"| {variant} | {' | '.join(values)} |")
    return "\n".join(lines)


def encode_table() -> str:
    """A sentence model by each runtime and precision, beside sentence-transformers."""
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
    """What computes, for people."""
    if "computes" not in row:
        return "`SentenceTransformer.encode`"
    return f"`-o precision auto`: {row['computes']}" if name == "auto" else str(row["computes"])


def words_table() -> str:
    """Word-in-Context at every layer, adjusted or not, and the same by its sides."""
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
    """Word-in-Context by how the pieces of a word become one vector, and where it matters."""
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
    """Spearman's correlation of cosines with people's ratings of words."""
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


PEERS = {
    "ours": "Retriever",
    "model2vec": "model2vec",
    "gensim_without_tokenizing": "gensim `get_mean_vector`, words split before",
    "sentence_transformers": "sentence-transformers `StaticEmbedding`",
}


def static_table() -> str:
    """Static encoding and searching beside peers, with spreads."""
    kept = result("static")
    lines = ["| what | documents/s | ours is faster | spread, s |", "|---|---:|---:|---:|"]
    for title, key in (("GloVe 50d", "glove_50d"), ("token table 256d", "token_table_256d")):
        part = kept[key]
        for name, rate in part["documents_per_second"].items():
            times = part["ours_times"].get(name)
            faster = f"{times:.1f} times" if times else "-"
            spread = "{fastest:.2f} to {slowest:.2f}".format(**part["seconds"][name])
            lines.append(f"| {title}: {PEERS[name]} | {rate:,.0f} | {faster} | {spread} |")
    glove, table = kept["one_glove_query_us"], kept["token_table_256d"]["one_query_us"]
    search, parts = kept["search_with_text"], kept["search_with_text"]["parts_p50_ms"]
    lines += [
        "",
        "| one query | p50 | beside |",
        "|---|---:|---|",
        f"| encoded by GloVe 50d | {glove['p50']:.1f} µs | p95 {glove['p95']:.1f} µs |",
        f"| encoded by a token table 256d | {table['p50']:.1f} µs | p95 {table['p95']:.1f} µs |",
        f"| `library.search`, text fetched, of 5,183 documents | {search['ours_p50_ms']:.3f} ms "
        f"| encoding {parts['encoding']:.3f}, searching {parts['searching']:.3f}, fetching "
        f"{parts['fetching']:.3f} |",
        f"| bare FAISS, and one SELECT of the same columns "
        f"| {search['bare_faiss_and_the_same_columns_p50_ms']:.3f} ms "
        f"| ours takes {search['ratio_to_the_same_columns']:.2f} times as long |",
        f"| bare FAISS, and one SELECT from a table of keys and texts "
        f"| {search['bare_faiss_and_table_of_texts_p50_ms']:.3f} ms "
        f"| ours takes {search['ratio']:.2f} times as long |",
    ]
    return "\n".join([*lines, "", certificate_line(kept["certificate"])])


def peers_table() -> str:
    """Retriever beside its peers, and the certificate of the numbers."""
    from benchmarks.peers.table import table

    kept = result("peers")
    return "\n".join([table(kept), "", certificate_line(kept["certificate"])])


def command_help() -> str:
    """`--help` of `retriever` and of each of its commands, as a terminal of 80 columns shows it."""
    import click

    from retriever.cli import cli

    parts = []
    names: list[str] = ["", *cli.list_commands(click.Context(cli))]
    for name in names:
        command = cli.commands[name] if name else cli
        path = f"retriever {name}".strip()
        settings = {**cli.context_settings, "terminal_width": 80}
        parent = click.Context(cli, info_name="retriever", **settings)
        context = click.Context(command, info_name=name, parent=parent) if name else parent
        context.terminal_width = 80
        parts.append(f"## {path}\n\n```text\n{command.get_help(context).rstrip()}\n```\n")
    return "\n".join(parts)


def durability_list() -> str:
    """The figures of `benchmarks/durability.py`, a line each."""
    kept = result("durability")
    adding, building, querying = kept["adding"], kept["building"], kept["querying"]
    opening = kept["opening"]
    lines = [
        "| 100,000 abstracts | median | spread, or ratio |",
        "|---|---:|---:|",
        _seconds("add them, from memory", adding["first_s"]),
        _seconds("... without waiting for the disk (unsafe)", adding["unsafe_first_s"]),
        _times(
            "add the same again, from memory", adding["unchanged_s"], adding["unchanged_faster"]
        ),
        _seconds("add them, from a gzipped file", adding["file_first_s"]),
        _times("add the file again", adding["file_unchanged_s"], adding["file_unchanged_faster"]),
        _seconds("embed them with GloVe 50d", building["safe"]),
        _seconds("... without waiting for the disk (unsafe)", building["unsafe"]),
        _seconds("open the collection, after imports", opening["open_s"]),
        _seconds(
            "... and the first query's hits, model included", opening["open_and_first_search_s"]
        ),
        f"| one query, p50 | {querying['quiet_p50_ms']:.2f} ms | |",
        f"| ... while another process builds | {querying['while_building_p50_ms']:.2f} ms "
        f"| {querying['ratio']:.1f} times |",
    ]
    for name, times in kept["filtering"].items():
        label = "one query without a filter" if name == "none" else f"... keeping {name}"
        lines.append(f"| {label} | {times['ms']:.2f} ms | |")
    return "\n".join([*lines, "", *_memory(kept["memory"]), certificate_line(kept["certificate"])])


def _times(label: str, times: dict[str, float], faster: float) -> str:
    return f"| {label} | {times['median']:.3f} s | {faster:.1f} times faster |"


def _memory(kept: dict[str, Any]) -> list[str]:
    """Peaks of memory by step and corpus; and what compacting after deleting half gives back."""
    lines = [f"| peak memory, MB | {' | '.join(kept)} |", f"|---|{'---:|' * len(kept)}"]
    for step in ("add", "build", "search", "compact"):
        peaks = [f"{sizes[step]['peak_MB']:,.0f}" for sizes in kept.values()]
        lines.append(f"| {step} | {' | '.join(peaks)} |")
    for label, key in (("MB on disk, half deleted", "before"), ("... compacted", "after")):
        sizes_of = [f"{sizes['compact'][f'bytes_{key}'] / 1e6:,.0f}" for sizes in kept.values()]
        lines.append(f"| {label} | {' | '.join(sizes_of)} |")
    return [*lines, ""]
