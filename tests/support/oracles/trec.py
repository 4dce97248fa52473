"""trec_eval's rules, written down once more from its C sources: what our measures must equal."""

import math
import struct

SMALL = 0.00001  # trec_eval's INFAP_EPSILON


def single(score):
    """Return a score as a C float."""
    return struct.unpack("f", struct.pack("f", score))[0]


def ordered(hits):
    """Return doc_ids in trec_eval's order: by score, and equal ones by strcmp, last first."""
    keys = sorted(
        ((single(score), doc_id.encode(), doc_id) for doc_id, score in hits), reverse=True
    )
    return [doc_id for _, _, doc_id in keys]


def write_without_ties(source, target):
    """Write a run in trec_eval's order under scores of which no tool makes ties."""
    hits = {}
    for line in source.read_text().splitlines():
        query_id, _, doc_id, _, score, _ = line.split()
        hits.setdefault(query_id, []).append((doc_id, float(score)))
    with target.open("w") as file:
        for query_id, of_query in hits.items():
            for rank, doc_id in enumerate(ordered(of_query), 1):
                file.write(f"{query_id} Q0 {doc_id} {rank} {-rank} x\n")
    return target


def value(name, hits, grades, *, k=None, rel=1, judged_only=False, at=0.0, beta=1.0):
    """Return a measure of one query; 0 without hits."""
    found = [grades.get(doc_id) for doc_id in ordered(hits)]
    if not found:
        return 0.0
    if name == "Judged":
        top = found[:k]
        return sum(grade is not None for grade in top) / len(top)
    if judged_only:
        found = [grade for grade in found if grade is not None and grade >= 0]
    if name in ("nDCG", "Bpref", "infAP"):
        return {"nDCG": _ndcg, "Bpref": _bpref, "infAP": _infap}[name](found, grades, k, rel)
    relevant = [grade is not None and grade >= rel for grade in found]
    total = sum(grade >= rel for grade in grades.values())
    sets = {"SetP": len(found), "SetR": total, "SetF": 1, "SetAP": len(found) * total}
    if name in sets:
        return _of_sets(name, sum(relevant), sets[name], len(found), total, beta)
    return _of_ranks(name, relevant, total, k, at)


def _of_ranks(name, relevant, total, k, at):
    top = relevant[:k]
    counts = [sum(relevant[:rank]) for rank in range(1, len(relevant) + 1)]
    precisions = [count / rank for rank, count in enumerate(counts, 1)]
    if name == "P":
        return sum(top) / k
    if name == "Success":
        return float(any(top))
    if name == "RR":
        return 1 / (top.index(True) + 1) if any(top) else 0.0
    if not total:
        return 0.0
    if name == "R":
        return sum(top) / total
    if name == "Rprec":
        return sum(relevant[:total]) / total
    if name == "AP":
        return sum(p for p, hit in zip(precisions, top, strict=False) if hit) / total
    assert name == "IPrec"
    wanted = int(at * total + 0.9)
    reached = [p for p, count in zip(precisions, counts, strict=True) if count >= wanted]
    return max(reached, default=0.0)


def _of_sets(name, both, below, found, total, beta):
    if name == "SetF":
        if not both:
            return 0.0
        p, r = both / found, both / total
        return (1 + beta) * p * r / (beta * p + r)
    return (both**2 if name == "SetAP" else both) / below if below else 0.0


def _ndcg(found, grades, k, _):
    def gained(row):
        return sum(
            gain / math.log2(rank + 1)
            for rank, gain in enumerate(row[:k], 1)
            if gain is not None and gain > 0
        )

    ideal = gained(sorted(grades.values(), reverse=True))
    return gained(found) / ideal if ideal else 0.0


def _bpref(found, grades, _, rel):
    relevant = sum(grade >= rel for grade in grades.values())
    others = sum(0 <= grade < rel for grade in grades.values())
    total, above = 0.0, 0
    for grade in found:
        if grade is None or grade < 0:
            continue
        if grade < rel:
            above += 1
        else:
            total += 1 - min(above, relevant) / min(others, relevant) if above else 1.0
    return total / relevant if relevant else 0.0


def _infap(found, grades, _, rel):
    relevant = sum(grade >= rel for grade in grades.values())
    total, hits, misses, unjudged = 0.0, 0, 0, 0
    for above, grade in enumerate(found):
        if grade is None:
            continue
        if grade < 0:
            unjudged += 1
        elif grade < rel:
            misses += 1
        else:
            known = (hits + SMALL) / (hits + misses + 2 * SMALL)
            pool = (hits + misses + unjudged) / above if above else 0.0
            total += 1 / (above + 1) + above / (above + 1) * pool * known
            hits += 1
    return total / relevant if relevant else 0.0
