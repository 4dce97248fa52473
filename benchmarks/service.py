"""Searches over HTTP, beside txtai's API and Chroma's server: `python -m benchmarks.service`.

Runs in the environment of `peers.txt` (`--only memory` and `writing` in any), needs RETRIEVER_DATA,
listens to this machine alone, and takes some minutes. All servers run at once and are asked in
turns by 1, 8 and 64 clients, each of which sends its next request when it has an answer. Writes
`results/service.json`.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
import numpy as np

from benchmarks.certificate import RESULTS, certificate, checksum, save
from benchmarks.http_load import Load, Requests, get, loaded, post
from benchmarks.peers import material, servers
from benchmarks.peers.ours import Given
from retriever import Collection, Document

PARTS = ("speed", "writing", "memory")
CLIENTS = (1, 8, 64)
K = 10
WARM_UP = 60
STATIC = "static:glove-6b-50d"
WRITER = """
import sys
from retriever import Collection, Document
with Collection.open(sys.argv[1]) as collection:
    while True:
        collection.add(Document(f"n{n}", f"protein number {n}") for n in range(200))
        collection.build_all()
        collection.delete([f"n{n}" for n in range(200)])
        collection.compact()
"""


def build(folder: Path, *, peers: bool) -> None:
    """Store the corpus in ours, with three other indexes, and in the peers, by the same vectors."""
    corpus = material.corpus()
    if peers:
        from benchmarks.peers.chroma import Chroma
        from benchmarks.peers.txtai import Txtai

        for one in (Chroma(), Txtai()):
            one.build(folder / one.package, corpus)
    with Collection.create(folder / "retriever") as library:
        library.add(map(Document, corpus.doc_ids, corpus.texts))
        vectors = corpus.doc_ids, corpus.vectors
        library.build("minilm", from_vectors=vectors, queries_by=f"contextual:{material.MODEL}")
        rows = dict(zip(corpus.texts, corpus.vectors, strict=True))
        library.build("given", Given(lambda texts: np.stack([rows[text] for text in texts])))
        library.build("glove", STATIC)
        library.build("bm25", lexical=True)
        library.fuse("hybrid", ["minilm", "bm25"])


@contextlib.contextmanager
def running(folder: Path) -> Iterator[dict[str, servers.Server]]:
    """Start all servers."""
    with contextlib.ExitStack() as stack:
        ours = folder / "retriever"
        yield {
            "retriever": stack.enter_context(servers.retriever(ours)),
            "chroma": stack.enter_context(servers.chroma(folder / "chromadb")),
            "txtai": stack.enter_context(servers.txtai(folder / "txtai", "given")),
            "txtai with model": stack.enter_context(servers.txtai(folder / "txtai", "encoded")),
        }


def questions(up: dict[str, servers.Server]) -> dict[str, tuple[str, Requests]]:
    """Return what is measured by name: the server, and its requests."""
    asked = material.queries()
    rows = np.round(asked.vectors, 7).tolist()

    def ours(server: str, bodies: list[dict[str, Any]]) -> tuple[str, Requests]:
        port = up[server].port
        sent = [post(port, "/search", {"k": K, **body}) for body in bodies]
        return server, Requests(port, sent, lambda got: len(got["answers"][0]["hits"]), K)

    def by_text(index: str) -> list[dict[str, Any]]:
        return [{"query": text, "indexes": [index]} for text in asked.texts]

    def txtai(server: str) -> tuple[str, Requests]:
        port = up[server].port
        sent = [get(port, f"/search?query={quote(text)}&limit={K}") for text in asked.texts]
        return server, Requests(port, sent, len, K)

    vectors = [{"vector": row, "indexes": ["minilm"]} for row in rows]
    return {
        "vectors sent: Retriever": ours("retriever", vectors),
        "vectors sent: Chroma": ("chroma", _of_chroma(up["chroma"].port, rows)),
        "vectors given: Retriever": ours("retriever", by_text("given")),
        "vectors given: txtai": txtai("txtai"),
        "contextual: Retriever": ours("retriever", by_text("minilm")),
        "contextual: txtai": txtai("txtai with model"),
        "static: Retriever": ours("retriever", by_text("glove")),
        "hybrid: Retriever": ours("retriever", by_text("hybrid")),
    }


def _of_chroma(port: int, rows: list[list[float]]) -> Requests:
    import chromadb

    client = chromadb.HttpClient(host="127.0.0.1", port=port)
    number = client.get_collection("documents", embedding_function=None).id
    path = f"/api/v2/tenants/default_tenant/databases/default_database/collections/{number}/query"
    wanted = {"n_results": K, "include": ["documents", "distances"]}
    sent = [post(port, path, {"query_embeddings": [row], **wanted}) for row in rows]
    return Requests(port, sent, lambda got: len(got["ids"][0]), K)


def measured(
    up: dict[str, servers.Server], rounds: int, seconds: float
) -> dict[str, dict[str, dict[str, float]]]:
    """Ask every server by every number of clients, in turns; return the summaries."""
    asked = questions(up)
    loads = {name: {clients: Load() for clients in CLIENTS} for name in asked}
    cpu = {name: dict.fromkeys(CLIENTS, 0.0) for name in asked}
    for _, requests in asked.values():
        loaded(requests, 4, most=WARM_UP)
    for _ in range(rounds):
        for clients in CLIENTS:
            for name, (server, requests) in asked.items():
                before = up[server].cpu()
                load = loaded(requests, clients, seconds=seconds)
                loads[name][clients] += load
                spent = up[server].cpu() - before
                cpu[name][clients] += spent
                each = f"{spent / len(load.latencies) * 1000:.2f} ms CPU each"
                print(f"{name}, {clients}: {load.summary()}, {each}", file=sys.stderr, flush=True)
    for name, by_clients in loads.items():
        for load in by_clients.values():
            if load.wrong:
                raise SystemExit(f"{name}: {load.wrong[0]}")
    return {
        name: {
            str(clients): {
                **load.summary(),
                "cpu_ms": round(cpu[name][clients] / len(load.latencies) * 1000, 3),
            }
            for clients, load in by_clients.items()
        }
        for name, by_clients in loads.items()
    }


def flat(folder: Path, requests: int) -> dict[str, Any]:
    """Return the memory of our service, in MB, before and during many static requests."""
    with servers.retriever(folder / "retriever") as server:
        _, asked = questions_of(server)
        loaded(asked, 8, most=2_000)
        memory, load = [server.memory()], Load()
        for _ in range(10):
            load += loaded(asked, 8, most=requests // 10)
            memory.append(server.memory())
    return {"requests": requests, "memory_MB": [round(one, 1) for one in memory], **load.summary()}


def meanwhile(folder: Path, seconds: float) -> dict[str, Any]:
    """Return the answers to 8 clients while a writer adds, builds, deletes and compacts."""
    with servers.retriever(folder / "retriever") as server:
        _, asked = questions_of(server)
        loaded(asked, 8, most=500)
        quiet = loaded(asked, 8, seconds=seconds)
        busy, killed = Load(), 0
        while busy.seconds < seconds:
            command = [sys.executable, "-c", WRITER, str(folder / "retriever")]
            with subprocess.Popen(command) as writer:
                busy += loaded(asked, 8, seconds=seconds / 3)
                writer.kill()
                killed += 1
    return {"without": quiet.summary(), "with": busy.summary(), "killed": killed}


def questions_of(server: servers.Server) -> tuple[str, Requests]:
    """Return static queries for one of our servers."""
    texts = material.queries().texts
    bodies = [{"query": text, "indexes": ["glove"], "k": K} for text in texts]
    sent = [post(server.port, "/search", body) for body in bodies]
    return "retriever", Requests(server.port, sent, lambda got: len(got["answers"][0]["hits"]), K)


def table(results: dict[str, dict[str, dict[str, float]]]) -> str:
    """Return the results as a Markdown table: p50, p95 and p99 in ms, answers per second."""
    lines = [
        "| query: server | 1 client | 8 clients | 64 clients |",
        "|---|---|---|---|",
    ]
    for name, by_clients in results.items():
        cells = [
            f"{one['p50_ms']:.1f} / {one['p95_ms']:.1f} / {one['p99_ms']:.1f}; "
            f"{one['per_second']:,.0f}/s"
            for one in by_clients.values()
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


@click.command()
@click.option("--rounds", default=3, show_default=True, help="Turns of each server.")
@click.option("--seconds", default=2.0, show_default=True, help="Seconds of a turn.")
@click.option("--requests", default=100_000, show_default=True, help="For the memory.")
@click.option("--only", type=click.Choice(PARTS), multiple=True, help="Parts; the others are kept.")
def main(rounds: int, seconds: float, requests: int, only: tuple[str, ...]) -> None:
    """Measure, print, save."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    embedding = material.embedded()
    kept = RESULTS / "service.json"
    found = json.loads(kept.read_text()) if only and kept.exists() else {}
    parts = only or PARTS
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent)
        build(folder, peers="speed" in parts)
        if "speed" in parts:
            with running(folder) as up:
                found["speed"] = measured(up, rounds, seconds)
            print(table(found["speed"]))
        if "writing" in parts:
            found["writing"] = meanwhile(folder, max(3 * seconds, 3.0))
            print(found["writing"])
        if "memory" in parts:
            found["memory"] = flat(folder, requests)
            print(found["memory"])
    facts = {
        "data": "BEIR SciFact, 5,183 documents, 300 test queries",
        "data_checksum": checksum(*material.files()),
        "model": material.MODEL,
        "command": "python -m benchmarks.service",
        "k": K,
        "rounds": rounds,
        "seconds": seconds,
        "embedding": embedding,
    }
    save("service", {**found, "certificate": certificate(**facts)})


if __name__ == "__main__":
    main()
