"""Small comparisons with known numbers."""

from dataclasses import replace

from retriever.comparison.comparison import Comparison
from retriever.evaluation.results import Agreement, Cost, Excerpt, Latency, Query, Row, Spread
from retriever.evaluation.significance import Difference
from retriever.search.results import Run

MEASURE = "nDCG@10"


def latency(milliseconds, totals=()):
    """Half of the time is encoding, half searching; p95 and p99 are twice and four times p50."""

    def spread(share):
        p50 = share * milliseconds
        return Spread(p50, 2 * p50, 4 * p50)

    return Latency(spread(0.5), spread(0.5), spread(0), spread(1), totals or (milliseconds,))


def cost(seconds):
    """The cost of embedding alone, of 100 documents with 2,000 bytes each."""
    return Cost(seconds, 0.0, 100 / seconds, None, 5_000_000, None, 200_000, 2000.0)


def difference(mean, low, high, p=0.5, needed=None, counts=(1, 1, 0)):
    """The difference of a system to the baseline; `counts` are wins, ties, losses."""
    return Difference(mean, low, high, p / 2, p, *counts, sum(counts), needed)


def row(name, quality=None, family="static", kind="exact", **rest):
    """A system with a quality in the one measure, and otherwise only what `rest` gives."""
    absent = ("ann_recall", "latency", "throughput", "cost", "query_coverage", "corpus_coverage")
    known = {**dict.fromkeys(absent), "exact_quality": {}, "differences": {}}
    known["quality"] = {} if quality is None else {MEASURE: quality}
    return Row(name, kind, family, f"{family}:{name}", **(known | rest))


def compared(rows, values, hits, queries, *, baseline=None, pairwise=None, documents=None, **rest):
    """A comparison of `rows`: `values` and `hits` by system and query; scores are 1, 1/2, 1/3."""
    judged = any(query.judgments for query in queries)

    def ranked(found):
        return {
            query: [(doc_id, 1 / rank) for rank, doc_id in enumerate(doc_ids, start=1)]
            for query, doc_ids in found.items()
        }

    return Comparison(
        k=rest.get("k", 3),
        measures=(MEASURE,) if judged else (),
        baseline=baseline,
        rows={row.name: row for row in rows},
        per_query={name: {MEASURE: found} for name, found in values.items()},
        pairwise=pairwise or {},
        runs={row.name: Run(row.name, 3, ranked(hits.get(row.name, {}))) for row in rows},
        queries={query.query_id: query for query in queries},
        documents=documents or {},
        notes=rest.get("notes", ()),
        environment=rest.get("environment", {"collection": "100 documents"}),
    )


def three(**rest):
    """bm25 (the baseline), glove and minilm over two queries.

    glove is significantly worse than bm25; minilm is better, but not significantly.
    """
    worse = {
        "query_coverage": 0.75,
        "differences": {MEASURE: difference(-0.25, -0.4, -0.1, 0.01, 99, (0, 1, 2))},
    }
    better = {
        "throughput": 200,
        "exact_quality": {MEASURE: 0.65},
        "ann_recall": 0.98,
        "differences": {MEASURE: difference(0.125, -0.05, 0.3, 0.4, 1234, (1, 1, 0))},
    }
    rows = [
        row("bm25", 0.5, "lexical", "lexical", latency=latency(1), cost=cost(1), throughput=1200),
        row("glove", 0.25, latency=latency(0.1), cost=cost(4), throughput=9000, **worse),
        row("minilm", 0.625, "contextual", "ann", latency=latency(10), cost=cost(100), **better),
    ]
    values = {
        "bm25": {"q1": 1.0, "q2": 0.0},
        "glove": {"q1": 0.5, "q2": 0.0},
        "minilm": {"q1": 0.25, "q2": 1.0},
    }
    hits = {
        "bm25": {"q1": ["cat", "dog"], "q2": ["dog"]},
        "glove": {"q1": ["dog", "cat"], "q2": []},
        "minilm": {"q1": ["dog", "car", "cat"], "q2": ["tax", "dog"]},
    }
    queries = [
        Query("q1", "Why does my cat purr?", {"cat": 2, "dog": 0}, {}, frozenset({"cat", "purrs"})),
        Query("q2", "When are taxes due?", {"tax": 1}, {"glove": ["taxes"]}, frozenset({"due"})),
    ]
    documents = {
        "cat": Excerpt("The cat", "A kitten purrs; a CAT is no bobcat, nor caterpillar."),
        "dog": Excerpt("", "A dog barks."),
        "car": Excerpt("Cars", "The engine idles."),
        "tax": Excerpt("", "The filing deadline is due in April."),
    }
    pairwise = {
        ("bm25", "glove"): Agreement(0.5, 0.4),
        ("bm25", "minilm"): Agreement(0.25, 0.2),
        ("glove", "minilm"): Agreement(0.75, 0.6),
    }
    rest = {"baseline": "bm25", "pairwise": pairwise, "documents": documents} | rest
    return compared(rows, values, hits, queries, **rest)


def unjudged():
    """The same without judgments, and so without values or a baseline."""
    made = three()
    return replace(
        made,
        measures=(),
        baseline=None,
        per_query={},
        rows={
            name: replace(row, quality={}, exact_quality={}, differences={})
            for name, row in made.rows.items()
        },
        queries={name: replace(query, judgments={}) for name, query in made.queries.items()},
    )


def only(made, *names):
    """A comparison of some of its systems, without a baseline."""

    def kept(by_name):
        return {name: value for name, value in by_name.items() if name in names}

    return replace(
        made,
        baseline=None,
        rows={name: replace(row, differences={}) for name, row in kept(made.rows).items()},
        per_query=kept(made.per_query),
        runs=kept(made.runs),
        pairwise={pair: alike for pair, alike in made.pairwise.items() if {*pair} <= {*names}},
    )
