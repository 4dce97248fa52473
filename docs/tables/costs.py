"""Tables of time and space: searching, adding, building, and peers."""

from __future__ import annotations

from typing import Any

from docs.tables.results import certificate_line, result, seconds_row


def speed_list() -> str:
    """Return the figures of `benchmarks/speed.py`, one row each, with their spread."""
    kept = result("speed")
    start, adding = kept["open_to_first_static_query_s"], kept["add_5183_documents_s"]
    static, query = kept["static_encoding"], kept["one_static_query"]
    lines = [
        "| what | median | spread |",
        "|---|---:|---:|",
        seconds_row("open SciFact, then the first static query's hits", start),
        seconds_row("add 5,183 documents", adding["first"]),
        seconds_row("add the same again, unchanged", adding["unchanged"]),
        seconds_row("encode 5,183 documents with GloVe 50d, ours", static["ours_s"]),
        seconds_row("the same words through gensim's `get_mean_vector`", static["gensim_s"]),
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


def peers_table() -> str:
    """Return Retriever next to its peers, with the provenance of the figures."""
    from benchmarks.peers.table import table

    kept = result("peers")
    return "\n".join([table(kept), "", certificate_line(kept["certificate"])])


def ann_tables() -> str:
    """Return every structure next to hnswlib, usearch and FAISS's HNSW, one table for each set."""
    from benchmarks.ann.table import table

    kept = result("ann")
    titles = {"glove": "GloVe", "arxiv": "arXiv"}
    drawn = [
        table(one, f"{titles[name]}, {one['count']:,} x {one['dim']}")
        for name, one in kept["sets"].items()
    ]
    return "\n\n".join([*drawn, certificate_line(kept["certificate"])])


def durability_list() -> str:
    """Return the figures of `benchmarks/durability.py`, one row each."""
    kept = result("durability")
    adding, building, querying = kept["adding"], kept["building"], kept["querying"]
    opening = kept["opening"]
    lines = [
        "| 100,000 abstracts | median | spread, or ratio |",
        "|---|---:|---:|",
        seconds_row("add them, from memory", adding["first_s"]),
        seconds_row("... without waiting for the disk (unsafe)", adding["unsafe_first_s"]),
        _times(
            "add the same again, from memory", adding["unchanged_s"], adding["unchanged_faster"]
        ),
        seconds_row("add them, from a gzipped file", adding["file_first_s"]),
        _times("add the file again", adding["file_unchanged_s"], adding["file_unchanged_faster"]),
        seconds_row("embed them with GloVe 50d", building["safe"]),
        seconds_row("... without waiting for the disk (unsafe)", building["unsafe"]),
        seconds_row("open the collection, after imports", opening["open_s"]),
        seconds_row(
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
    """Return peak memory by step and corpus, and what compacting frees after deleting half."""
    lines = [f"| peak memory, MB | {' | '.join(kept)} |", f"|---|{'---:|' * len(kept)}"]
    for step in ("add", "build", "search", "compact"):
        peaks = [f"{sizes[step]['peak_MB']:,.0f}" for sizes in kept.values()]
        lines.append(f"| {step} | {' | '.join(peaks)} |")
    for label, key in (("MB on disk, half deleted", "before"), ("... compacted", "after")):
        sizes_of = [f"{sizes['compact'][f'bytes_{key}'] / 1e6:,.0f}" for sizes in kept.values()]
        lines.append(f"| {label} | {' | '.join(sizes_of)} |")
    return [*lines, ""]
