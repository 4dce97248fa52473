"""Tables of static vectors: weighted, trained, distilled, and peers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from docs.tables.results import certificate_line, result

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
PEERS = {
    "ours": "Retriever",
    "model2vec": "model2vec",
    "gensim_without_tokenizing": "gensim `get_mean_vector`, words split before",
    "sentence_transformers": "sentence-transformers `StaticEmbedding`",
}


def weightings_table() -> str:
    """Return the quality of each weighting of GloVe, with the provenance of the figures."""
    from benchmarks.weightings import table

    kept = result("weightings")
    return "\n".join([table(kept), "", certificate_line(kept["certificate"])])


def auto_table() -> str:
    """Return what `weighting auto` chooses on each collection, next to the best by judgments."""
    from benchmarks.weightings import auto_table as table

    kept = result("weightings-auto")
    return "\n".join([table(kept), "", certificate_line(kept["certificate"])])


def training_table() -> str:
    """Return trained vectors next to GloVe 6B: training time, and quality by weighting."""
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
        "Cranfield are searched with the same vectors, which were not trained on them."
    )
    return "\n".join([*lines, "", said, "", certificate_line(kept["certificate"])])


def distilling_table() -> str:
    """Return how close a student comes to its teacher, on each collection."""
    from benchmarks.distillation.ablation import KEPT

    kept = result("distilling")
    lines = [
        "| | queries | MiniLM, nDCG@10 | student's queries, MiniLM's documents, % "
        "| other queries, % | student on both sides, % | cosine, held out |",
        f"|---|{'---:|' * 6}",
    ]
    for task in kept["tasks"].values():
        if (row := task["variants"].get(KEPT)) is None:
            continue
        sides = [
            f"{100 * mean(row[side]):.1f} ({', '.join(f'{100 * one:.1f}' for one in row[side])})"
            for side in ("queries_only", "both_sides")
        ]
        least, most = row["interval"]
        lines.append(
            f"| {task['label']} | {task['queries']} | {task['teacher']:.3f} | {sides[0]} "
            f"| {100 * least:.0f} to {100 * most:.0f} | {sides[1]} | {row['cosine']:.3f} |"
        )
    said = (
        "Shares of MiniLM's nDCG@10: the mean over the seeds, and each of them. *Other queries*: "
        "95 % of bootstrap samples of the queries have a mean share within this."
    )
    return "\n".join([*lines, "", said, "", certificate_line(kept["certificate"])])


def fused_table() -> str:
    """Return how close a student fused with BM25 comes to its teacher fused so, in two ways."""
    from benchmarks.distillation.ablation import FUSED

    kept = result("distilling")
    lines = [
        "| nDCG@10 | fused, min-max | fused, exact scores | fused-fast minus fused, both min-max "
        "| both exact scores | exact scores minus min-max | escalated, exact scores |",
        f"|---|{'---:|' * 6}",
    ]
    for task in kept["tasks"].values():
        if (row := task["variants"].get(FUSED)) is None:
            continue
        seeds = row["fused"]
        exact = [one["convex"] for one in seeds]
        differences = seeds, exact, [one["convex_to_minmax"] for one in seeds]
        cells = [f"{some[0]['teacher']:.3f}" for some in (seeds, exact)]
        cells += [
            ", ".join(f"{one['difference']:+.4f} ({one['p']:.2f})" for one in some)
            for some in differences
        ]
        cells.append(", ".join(map(_escalated, seeds)))
        lines.append(f"| {task['label']} | {' | '.join(cells)} |")
    said = (
        "*fused-fast minus fused*: the student's queries fused with BM25 less MiniLM's, for each "
        "seed, with p of the paired randomization test. *Exact scores*: `--method convex` with "
        "weights of .4 for BM25 and .6 for vectors; *min-max* with equal ones. *Escalated*: the "
        "same difference where MiniLM encodes some queries (`--escalate`), and their share."
    )
    return "\n".join([*lines, "", said])


def _escalated(seed: Mapping[str, Any]) -> str:
    one = seed["escalated"]
    return f"{100 * one['share']:.0f} %: {one['difference']:+.4f} ({one['p']:.2f})"


def ablation_table() -> str:
    """Return the ablation: queries only / both sides, in percent of the teacher's nDCG@10.

    Means over the seeds; the last column is the mean over the collections that were measured, minus
    that of the unchanged fit with the same seeds.
    """
    from benchmarks.distillation.ablation import PLAIN, VARIANTS

    kept = result("distilling")
    tasks = list(kept["tasks"].values())
    labels = " | ".join(task["label"] for task in tasks)
    lines = [
        f"| queries only / both sides, % | {labels} | change |",
        f"|---|{'---:|' * (len(tasks) + 1)}",
    ]
    for variant in VARIANTS:
        cells, changes = list[str](), list[list[float]]()
        for task in tasks:
            rows = task["variants"]
            if not {variant, PLAIN} <= rows.keys():
                cells.append("-")
                continue
            seeds = len(rows[variant]["queries_only"])
            found, before = (_shares(rows[label], seeds) for label in (variant, PLAIN))
            many = len(rows[PLAIN]["queries_only"])
            cells.append(_percent(found) + (f", {seeds} of {many} seeds" if seeds < many else ""))
            changes.append([100 * (now - then) for now, then in zip(found, before, strict=True)])
        if not changes:
            continue
        means = (f"{mean(side):+.1f}" for side in zip(*changes, strict=True))
        cells.append(" / ".join(means) if variant != PLAIN else "")
        lines.append(f"| {variant} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _percent(shares: Sequence[float]) -> str:
    return " / ".join(f"{100 * share:.1f}" for share in shares)


def _shares(row: Mapping[str, Any], seeds: int) -> list[float]:
    return [mean(row[side][:seeds]) for side in ("queries_only", "both_sides")]


def static_table() -> str:
    """Return static encoding and search next to peers, with spreads."""
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
        "| one query | p50 | compared with |",
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
