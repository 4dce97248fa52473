"""How far to trust queries made from a corpus: `python -m benchmarks.known_items [COLLECTION...]`.

Needs RETRIEVER_DATA. On collections with judgments, systems are ordered by real queries and by
queries made from the documents, of each kind and mixed. Each collection's values are kept in
`.cache/`; with none named, all are measured, and `results/known_items.json` is written from what is
kept. The library prints the sum with a verdict: `retriever/known_items/trust.py`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from itertools import chain, combinations, product
from pathlib import Path
from typing import Any

from benchmarks import quality
from benchmarks.certificate import certificate, checksum, collection_folder, save
from benchmarks.quality import CRANFIELD, RECIPES, SCIFACT, Data
from benchmarks.weightings import ADI, TITLES
from retriever import Collection, read_qrels, read_queries
from retriever.comparison.made import KNOWN_ITEM_MEASURES, Asked
from retriever.comparison.system_run import run_system
from retriever.comparison.test_set import TestSet
from retriever.document_queries.kinds import KINDS
from retriever.evaluation import significance
from retriever.evaluation.measures import evaluate
from retriever.evaluation.verdict import compared_with_best
from retriever.known_items.making import make_queries

COMMAND = "python -m benchmarks.known_items"
COLLECTIONS = (SCIFACT, CRANFIELD, ADI)
STATIC = ("build", "--embedder", "static:glove-6b-50d", "-o", "weighting")
MORE_RECIPES = {
    "glove-sif": (*STATIC, "sif", "-o", "components", "1"),
    "glove-tfidf": (*STATIC, "idf"),
    "fused": ("build", "--fuse", "bm25", "--fuse", "minilm", "--method", "minmax"),
    "fused-glove": ("build", "--fuse", "bm25", "--fuse", "glove-sif", "--method", "minmax"),
}
WITHOUT = ("hashing", "glove", "glove-sif", "glove-tfidf", "bm25", "fused-glove")
CONTEXTUAL = ("minilm", "fused", "cascaded")
SYSTEMS = (*WITHOUT, *CONTEXTUAL)
JUDGED_BY = "nDCG@10"
# The first measure of reports, which decides.
MADE_BY = KNOWN_ITEM_MEASURES[0]
SETS = {
    **{kind: (kind,) for kind in KINDS},
    "title and first": ("title", "first"),
    "title, first and middle": ("title", "first", "middle"),
    "all": tuple(KINDS),
}
SEEDS = (1, 2, 3)
# Figures of which a table shows the sum over samples.
SUMMED = ("significant", "reversed", "contradicted", "claimed", "confirmed")
COUNT = 300

# Of one measure, by system and query.
Values = Mapping[str, Mapping[str, float]]


def values_of(
    collection: Collection, queries: Any, qrels: Any, measure: str
) -> dict[str, dict[str, float]]:
    """Return the values of all systems in a measure, by system and query."""
    asked = Asked.of(queries, qrels, [measure], {})
    test_set = TestSet.of(collection, queries, asked.qrels, measures=[measure], k=10)
    retrievers = [collection.retriever(name) for name in SYSTEMS]
    found = {}
    for one in asked.asking(retrievers, collection):
        ranking = run_system(one, test_set).run.ranking
        found[one.name] = dict(evaluate(ranking, test_set.qrels, [measure])[measure])
    return found


def measure(data: Data, path: Path) -> None:
    """Write the values of all systems on one collection, by judgments and by made queries.

    After each set of queries, so that an interrupted call resumes.
    """
    kept = kept_in(path)
    kept["figures"] = {}
    with quality.build(collection_folder(f"known-items-{data.name}"), data, SYSTEMS) as collection:
        for name in SYSTEMS:
            collection.build(name)  # what an interrupted build left
        if not kept["judged"]:
            queries = read_queries(data.file("queries.jsonl"))
            qrels = read_qrels(data.file(data.qrels))
            kept["judged"] = values_of(collection, queries, qrels, JUDGED_BY)
        for seed, kind in product(SEEDS, KINDS):
            if (key := f"{kind} {seed}") not in kept["documents"]:
                some = make_queries(collection, COUNT, kinds=[kind], seed=seed)
                first = kept["made"].get(f"{kind} {SEEDS[0]}")
                # Where documents are few, all give their queries, whatever the seed.
                if first is None or len(some) == COUNT:
                    first = values_of(collection, some, None, MADE_BY)
                kept["made"][key] = first
                kept["documents"][key] = {one.query_id: one.doc_id for one in some.items_made}
                path.write_text(json.dumps(kept))
                print(data.name, seed, some, flush=True)
    kept["figures"] = {name: figures(kept, kinds) for name, kinds in SETS.items()}
    path.write_text(json.dumps(kept))


def kept_in(path: Path) -> dict[str, Any]:
    """Return what an earlier call kept of one collection: values and documents of made queries.

    Without the documents of the queries, their values are of no use.
    """
    empty: dict[str, Any] = {"judged": {}, "made": {}, "documents": {}}
    kept: dict[str, Any] = json.loads(path.read_text()) if path.exists() else empty
    return kept if "documents" in kept else {**empty, "judged": kept["judged"]}


def figures(kept: Mapping[str, Any], kinds: Sequence[str]) -> list[dict[str, Any]]:
    """Return the figures of a set of queries for each seed and turn of its kinds.

    Only for the first where documents are few: all give their queries, whatever the seed.
    """
    few = any(len(kept["documents"][f"{kind} {SEEDS[0]}"]) != COUNT for kind in kinds)
    turns = [(SEEDS[0], 0)] if few else [*product(SEEDS, range(len(kinds)))]
    return [compared(kept["judged"], together(kept, kinds, *turn)) for turn in turns]


def together(
    kept: Mapping[str, Any], kinds: Sequence[str], seed: int, turn: int
) -> dict[str, dict[str, float]]:
    """Return the values for queries of several kinds, one of a document, about as many as of one.

    Over all turns, every query is among them once. Where documents are few, all queries at once.
    """
    keys = [f"{kind} {seed}" for kind in [*kinds[turn:], *kinds[:turn]]]
    documents = [kept["documents"][key] for key in keys]
    places = {one: n for n, one in enumerate(sorted({*chain(*map(dict.values, documents))}))}
    chosen: dict[str, dict[str, float]] = {}
    for place, (key, of) in enumerate(zip(keys, documents, strict=True)):
        for system, values in kept["made"][key].items():
            few = len(values) != COUNT
            some = (one for one in values if few or places[of[one]] % len(keys) == place)
            chosen.setdefault(system, {}).update({one: values[one] for one in some})
    return chosen


def compared(judged: Values, made: Values) -> dict[str, Any]:
    """Compare two orders of the same systems: by judgments and by made queries.

    `tau` is Kendall's. Of the pairs that differ significantly by judgments, `reversed` have the
    other order by made queries, and `contradicted` significantly so. Of the `claimed` pairs, which
    differ significantly by made queries, `confirmed` have the same order by judgments. `answers`
    are whether contextual embeddings are needed, by judgments and by made queries.
    """
    real, other = significance.all_pairs(judged), significance.all_pairs(made)
    both = [(real[pair], other[pair]) for pair in combinations(judged, 2)]
    agreeing = [_sign(a.mean) * _sign(b.mean) for a, b in both]
    decided = [(a, b) for a, b in both if a.significant]
    wrong = [b for a, b in decided if a.mean * b.mean < 0]
    claimed = [(a, b) for a, b in both if b.significant]
    return {
        "queries": len(next(iter(made.values()))),
        "tau": sum(agreeing) / len(agreeing),
        "pairs": len(both),
        "significant": len(decided),
        "reversed": len(wrong),
        "contradicted": sum(b.significant for b in wrong),
        "claimed": len(claimed),
        "confirmed": sum(a.mean * b.mean > 0 for a, b in claimed),
        "answers": [_needs_contextual(judged), _needs_contextual(made)],
    }


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


def _needs_contextual(values: Values) -> bool:
    """Return whether every system without a contextual model is significantly worse."""
    best, tested = compared_with_best(values)
    return best not in WITHOUT and all(
        one.significant and one.mean < 0 for name, one in tested.items() if name in WITHOUT
    )


def main(names: Sequence[str]) -> None:
    """Measure the named collections, or else write the results of all."""
    RECIPES.update(MORE_RECIPES)
    kept = {}
    for data in COLLECTIONS:
        path = collection_folder(f"known-items-{data.name}.json")
        if data.name in names or (not names and not kept_in(path).get("figures")):
            measure(data, path)
        if not names:
            kept[data.name] = kept_in(path)
    if names:
        return
    rows = {
        name: {collection: of["figures"][name] for collection, of in kept.items()} for name in SETS
    }
    files = [data.file(one) for data in COLLECTIONS for one in ("corpus.jsonl", data.qrels)]
    facts = {
        "data": "; ".join(data.label for data in COLLECTIONS),
        "data_checksum": checksum(*files),
        "command": COMMAND,
        "systems": SYSTEMS,
        "judged_by": JUDGED_BY,
        "made_by": MADE_BY,
        "made": f"{COUNT} queries of a kind, about as many of mixed ones, or all there are",
    }
    means = {
        name: {system: _mean(of) for system, of in values["judged"].items()}
        for name, values in kept.items()
    }
    save("known_items", {"certificate": certificate(**facts), "judged": means, "rows": rows})


def table(kept: Mapping[str, Any]) -> str:
    """Return the results as Markdown: a row for each set of queries, columns for collections.

    Kendall's tau is the mean over samples, other figures are sums over samples.
    """
    names = list(kept["judged"])
    titles = [f"{TITLES[name]}: tau | reversed | confirmed" for name in names]
    lines = [
        f"| queries | {' | '.join(titles)} |",
        f"|---|{'---:|' * 3 * len(names)}",
    ]
    for kinds, found in kept["rows"].items():
        cells = [cell for name in names for cell in _cells(found[name])]
        lines.append(f"| {kinds} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cells(samples: Sequence[Mapping[str, Any]]) -> list[str]:
    total = {name: sum(one[name] for one in samples) for name in SUMMED}
    tau = sum(one["tau"] for one in samples) / len(samples)
    contradicted = f" ({total['contradicted']})" if total["contradicted"] else ""
    return [
        f"{tau:.2f}",
        f"{total['reversed']}{contradicted} of {total['significant']}",
        f"{total['confirmed']} of {total['claimed']}",
    ]


def _mean(values: Mapping[str, float]) -> float:
    return sum(values.values()) / len(values)


if __name__ == "__main__":
    main(sys.argv[1:])
