"""How close a distilled table comes to its teacher, and an ablation:
`python -m benchmarks.distilling`.

Needs RETRIEVER_DATA. Writes `results/distilling.json`: the command with its defaults, with several
seeds, on four collections; and an ablation on each, one change at a time. MiniLM is the teacher
throughout.
"""

from __future__ import annotations

import gc
import random
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.certificate import certificate, checksum, collection_folder, save
from benchmarks.quality import CRANFIELD, SCIFACT, Data
from indexes.document import Document
from indexes.progress import ignore_progress
from retriever import Collection, ContextualEmbedder, distill
from retriever.embedders.base import Matrix, unit
from retriever.embedders.tokenization.subword_tokenizer import TextTokenizer
from retriever.evaluation.measures import evaluate
from retriever.evaluation.measures import mean as mean_of
from retriever.formats import read_documents, read_qrels, read_queries
from retriever.training.distillation.distill import ANCHORS, ENOUGH
from retriever.training.distillation.evaluate import MEASURE
from retriever.training.distillation.held_out import HELD_OUT, HELD_OUT_SHARE
from retriever.training.distillation.student import FitOptions, TrainingSet, fit, initial_table
from retriever.training.distillation.teacher import (
    TEXTS,
    Budget,
    TeacherVectors,
    encode_with_budget,
)
from retriever.training.distillation.tokenizer import bags_of, student_tokenizer, token_texts
from retriever.training.distillation.training_texts import (
    general_sentences,
    shuffled,
    titles_and_sentences,
)

COMMAND = "python -m benchmarks.distilling"
BINARY = "qrels/test.tsv"
SEEDS = (1, 2, 3)
FRAGMENTS = 10_000


@dataclass(frozen=True)
class Task:
    """A collection to distill on: its name, the source of its documents, its role."""

    name: str
    label: str
    data: Data
    only_judged: int | None = None
    titles: bool = False
    seeds: Sequence[int] = SEEDS

    def documents(self) -> list[Document]:
        """Return the documents; with `only_judged`, that many, all judged ones included."""
        records = read_documents(self.data.file("corpus.jsonl"))
        documents = [record for record in records if isinstance(record, Document)]
        if self.titles:
            documents = [Document(one.doc_id, one.title) for one in documents if one.title]
        if self.only_judged is None:
            return documents
        judged = {doc_id for grades in self.qrels().values() for doc_id in grades}
        others = [one.doc_id for one in documents if one.doc_id not in judged]
        chosen = judged | set(random.Random(7).sample(others, self.only_judged - len(judged)))
        return [one for one in documents if one.doc_id in chosen]

    def queries(self) -> dict[str, str]:
        """Return the judged queries."""
        judged = self.qrels()
        queries = read_queries(self.data.file("queries.jsonl"))
        return {key: text for key, text in queries.items() if key in judged}

    def qrels(self) -> dict[str, dict[str, int]]:
        """Return the judgments, relevant or not."""
        return read_qrels(self.data.file(BINARY))


TASKS = (
    Task("scifact", "SciFact", SCIFACT),
    Task("cranfield", "Cranfield", CRANFIELD),
    Task("scifact-1000", "SciFact, 1,000 documents", SCIFACT, only_judged=1_000),
    Task("cranfield-titles", "Cranfield, titles only", CRANFIELD, titles=True, seeds=SEEDS[:1]),
)


def collection_of(task: Task) -> Collection:
    """Return the collection with MiniLM's vectors, kept between runs."""
    library = Collection.open_or_create(collection_folder(task.name))
    if not len(library):
        library.add(task.documents())
    if "minilm" not in library.index_names():
        library.build("minilm", ContextualEmbedder("all-MiniLM-L6-v2"))
    return library


# -- the command ---------------------------------------------------------------------------------


def distilled(library: Collection, task: Task, seed: int) -> dict[str, Any]:
    """Distill once from scratch to an index, and evaluate it."""
    name = f"distilled-{seed}"
    if name in library.index_names():
        library.drop(name)
    for folder in (library.path / "models").glob(f"*{name}*"):
        shutil.rmtree(folder)
    started = perf_counter()
    report = distill(
        library,
        name,
        teacher="minilm",
        seed=seed,
        queries=task.queries(),
        qrels=task.qrels(),
    )
    seconds = perf_counter() - started
    assert report.judged
    library.drop(name)
    shutil.rmtree(report.path)
    return {
        "teacher": report.judged.teacher,
        "queries_only": report.judged.student_queries,
        "both_sides": report.judged.student,
        "cosine": report.cosine,
        "texts": report.texts,
        "passages": report.passages,
        "encoding_s": report.encoding_seconds,
        "fitting_s": report.fitting_seconds,
        "whole_s": seconds,
        "precision": report.precision,
    }


def summed_up(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return means over the seeds, and the range of the share of the teacher's quality."""
    teacher = runs[0]["teacher"]
    shares = {
        side: [run[side] / teacher for run in runs] for side in ("queries_only", "both_sides")
    }
    return {
        "teacher": teacher,
        **{key: mean(run[key] for run in runs) for key in ("queries_only", "both_sides")},
        **{f"{side}_share": mean(values) for side, values in shares.items()},
        **{f"{side}_spread": [min(values), max(values)] for side, values in shares.items()},
        "cosine": mean(run["cosine"] for run in runs),
        "whole_s": mean(run["whole_s"] for run in runs),
        "runs": list(runs),
    }


# -- ablation -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Read:
    """What the variants need of a collection, encoded by the teacher."""

    tokenizer: Path
    plain: Path
    pieces: Matrix
    texts: TeacherVectors
    own: int
    fragments: TeacherVectors
    passages: list[str]
    vectors: Matrix


@dataclass(frozen=True)
class Variant:
    """The training data and the settings of a variant; see `variants`."""

    label: str
    recipe: FitOptions = FitOptions()  # noqa: RUF009 - frozen
    sentences: float = 1.0
    general_sentences: bool = True
    fragments: bool = False
    passages: bool = True
    start: str = "teacher"
    words: bool = True


def variants() -> Iterator[Variant]:
    """Return the default settings, and each of their parts left out or replaced."""
    plain = Variant("as it is")
    yield plain
    yield replace(plain, label="no ranking of the index", recipe=FitOptions(contrast=0.0))
    yield replace(plain, label="without the index's vectors", passages=False)
    yield replace(plain, label="the index's vectors alone", sentences=0.0, general_sentences=False)
    yield replace(plain, label="half of the sentences", sentences=0.5)
    yield replace(plain, label="without general sentences", general_sentences=False)
    yield replace(plain, label=f"and {FRAGMENTS:,} fragments of 3 to 16 words", fragments=True)
    yield replace(plain, label="start: random", start="random")
    yield replace(plain, label="start: not shortened by frequency", start="even")
    yield replace(plain, label="word pieces only, no whole words", words=False)
    yield replace(plain, label="twice the rate", recipe=FitOptions(rate=4e-3, last_rate=5e-4))
    yield replace(plain, label="always 5 epochs", recipe=FitOptions(epochs=5, most_epochs=5))
    yield replace(plain, label="always 20 epochs", recipe=FitOptions(epochs=20))


def fragments(texts: Sequence[str], count: int, seed: int) -> list[str]:
    """Draw fragments of 3 to 16 words; a text is drawn in proportion to its length."""
    rng = random.Random(seed)
    words = [text.split() for text in texts]
    found = []
    for text in rng.choices(words, weights=list(map(len, words)), k=count):
        size = min(len(text), rng.randint(3, 16))
        begin = rng.randint(0, len(text) - size)
        found.append(" ".join(text[begin : begin + size]))
    return found


def read(library: Collection, task: Task) -> Read:
    """Return the command's training texts and fragments, kept between runs."""
    folder = collection_folder(f"distilling-{task.name}")
    folder.mkdir(exist_ok=True)
    embedder = library.embedder("minilm")
    assert isinstance(embedder, ContextualEmbedder)
    teacher = embedder
    own = shuffled(titles_and_sentences(library.documents()), 1)
    texts = own + general_sentences(ENOUGH - len(own))
    tokenizer = student_tokenizer(teacher.tokenizer_json, texts)
    (folder / "tokenizer.json").write_text(tokenizer, "utf-8")
    plain = student_tokenizer(teacher.tokenizer_json, texts, often=None)
    (folder / "plain.json").write_text(plain, "utf-8")
    encode = teacher.encode_queries
    parts = list(library.embedded("minilm", most=20_000))
    names = token_texts(tokenizer)
    pieces = encode_with_budget(
        folder, "tokens", names, teacher.in_batches(256).encode_queries, Budget(), ignore_progress
    )
    taught = encode_with_budget(
        folder, "texts", texts, encode, Budget(texts=TEXTS), ignore_progress
    )
    others = fragments(own, FRAGMENTS, 2)
    return Read(
        tokenizer=folder / "tokenizer.json",
        plain=folder / "plain.json",
        pieces=pieces.vectors,
        texts=taught,
        own=min(len(own), len(taught.texts)),
        fragments=encode_with_budget(
            folder, "fragments", others, encode, Budget(), ignore_progress
        ),
        passages=[text for some, _ in parts for text in some],
        vectors=np.concatenate([vectors for _, vectors in parts]),
    )


def measured(variant: Variant, some: Read, judge: Judge) -> dict[str, float]:
    """Fit one variant and evaluate it."""
    tokenizer = TextTokenizer(some.tokenizer if variant.words else some.plain)
    # Whole words come after all subwords.
    pieces = some.pieces[: tokenizer.size]
    held = min(HELD_OUT, len(some.texts.texts) // HELD_OUT_SHARE)
    seen = TrainingSet(bags_of(tokenizer, some.passages), some.vectors)
    texts = TrainingSet(bags_of(tokenizer, some.texts.texts), some.texts.vectors)
    stop = held + int((some.own - held) * variant.sentences)
    lessons = texts[held:stop]
    if variant.general_sentences:
        lessons = lessons.concatenate(texts[some.own :])
    if variant.passages:
        lessons = lessons.concatenate(seen)
    if variant.fragments:
        lessons = lessons.concatenate(
            TrainingSet(bags_of(tokenizer, some.fragments.texts), some.fragments.vectors)
        )
    start = initial_table(pieces, seen.tokens)
    if variant.start == "random":
        scale = np.sqrt(1 / pieces.shape[1])
        start = np.random.default_rng(1).normal(0, scale, pieces.shape).astype(np.float32)
    elif variant.start == "even":
        start = pieces
    anchors = some.vectors[:: max(1, len(some.vectors) // ANCHORS)]
    fitted = fit(start, lessons, texts[:held], anchors, variant.recipe, 1, ignore_progress)
    queries = unit(np.asarray(bags_of(tokenizer, judge.texts) @ fitted.table, np.float32))
    documents = unit(np.asarray(seen.tokens @ fitted.table, np.float32))
    return {
        "queries_only": judge.value(queries, some.vectors),
        "both_sides": judge.value(queries, documents),
        "cosine": fitted.cosine,
    }


class Judge:
    """Exact search over vectors in memory."""

    def __init__(self, library: Collection, task: Task) -> None:
        queries = task.queries()
        self._ids, self.texts, self._qrels = list(queries), list(queries.values()), task.qrels()
        # Only empty passages have no vector.
        self._doc_ids = [
            one.doc_id for one in library.documents() if (one.title + one.text).strip()
        ]

    def value(self, queries: Matrix, documents: Matrix) -> float:
        """Return nDCG@10."""
        scores = queries @ documents.T
        best = np.argsort(-scores, axis=1, kind="stable")[:, :10]
        run = {
            query: [(self._doc_ids[place], float(row[place])) for place in places.tolist()]
            for query, row, places in zip(self._ids, scores, best, strict=True)
        }
        return mean_of(evaluate(run, self._qrels, [MEASURE])[MEASURE])


# -- everything -----------------------------------------------------------------------------------


def main() -> None:
    """Distill, evaluate, ablate, save."""
    results: dict[str, Any] = {}
    for task in TASKS:
        with collection_of(task) as library:
            runs = [distilled(library, task, seed) for seed in task.seeds]
            print(task.name, summed_up(runs), flush=True)
            results[task.name] = {"label": task.label, **summed_up(runs), "ablation": {}}
            some, judge = read(library, task), Judge(library, task)
            for variant in variants():
                found = measured(variant, some, judge)
                results[task.name]["ablation"][variant.label] = found
                print(
                    task.name, variant.label, {k: round(v, 4) for k, v in found.items()}, flush=True
                )
        gc.collect()
    files = [
        data.file(name)
        for data in (SCIFACT, CRANFIELD)
        for name in ("corpus.jsonl", "queries.jsonl", BINARY)
    ]
    facts: dict[str, Any] = {
        "data": "BEIR SciFact and Cranfield, binary judgments",
        "data_checksum": checksum(*files),
        "command": COMMAND,
        "seeds": list(SEEDS),
        "texts": TEXTS,
    }
    save("distilling", {"certificate": certificate(**facts), "tasks": results})


if __name__ == "__main__":
    main()
