"""One query in several indexes: the columns of the search page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from indexes.errors import RetrieverError, unknown_name
from retriever.collection import Collection
from retriever.evaluation.results import Excerpt
from retriever.evaluation.shared_words import SharedWords, matches_in, telling
from retriever.formatting import alt_text, beginning, join_names
from retriever.images.thumbnails import Thumbnail, thumbnail_if_any
from retriever.report.answers import found_by
from retriever.report.excerpts import Piece, excerpt_of, pieces_of
from retriever.report.terminal.escape import one_line
from retriever.search.options import MMR, SearchOptions
from retriever.search.results import Hit, Hits, Timing
from retriever.search.retriever import Retriever
from retriever.service.comparing import Understood, understood
from retriever.service.page.facts import Facts
from retriever.service.page.filters import filter_text
from retriever.service.page.forms import SearchForm

EXCERPT = 320
# Further into a text, no words are marked.
MOST_CHARACTERS = 20_000
# Metadata fields that a hit shows, and characters of a value.
MOST_FIELDS, LONGEST_VALUE = 8, 60
FAMILIES = ("static", "hashing", "contextual", "lexical", "combined")
MOST_DEFAULT = 3


@dataclass(frozen=True)
class ShownHit:
    """A hit as it is shown; `elsewhere` are its ranks in the other indexes, None for no hit."""

    hit: Hit
    title: Sequence[Piece]
    excerpt: Sequence[Piece]
    metadata: Sequence[tuple[str, str]]
    elsewhere: Sequence[tuple[str, int | None]]
    image: Thumbnail | None
    alt: str

    @property
    def is_alone(self) -> bool:
        """Whether no other index found it, of at least one other."""
        return bool(self.elsewhere) and all(rank is None for _, rank in self.elsewhere)


@dataclass(frozen=True)
class Column:
    """The answer of an index, or the `error` that it has instead."""

    name: str
    family: str
    description: str
    hits: Sequence[ShownHit] = ()
    notes: Sequence[str] = ()
    timing: Timing | None = None
    understood: Sequence[Understood] = ()
    error: str = ""


@dataclass(frozen=True)
class Group:
    """How many documents some of the indexes found, and no other."""

    finders: Sequence[str]
    says: str
    documents: int


@dataclass(frozen=True)
class Answered:
    """The columns of a search, who found how much, and the filter as text."""

    columns: Sequence[Column]
    groups: Sequence[Group] = ()
    where: str = ""

    @property
    def slowest(self) -> float:
        """The longest time of an index, in seconds."""
        return max((one.timing.total for one in self.columns if one.timing), default=0.0)

    @property
    def found(self) -> int:
        """The number of documents that any index found."""
        return sum(group.documents for group in self.groups)


def default_choice(facts: Facts) -> tuple[str, ...]:
    """Return the indexes to show side by side where none is named: one of each family."""
    of_family = {one.family: one.name for one in reversed(facts.info.indexes)}
    chosen = [of_family[family] for family in FAMILIES[:-1] if family in of_family]
    return tuple(chosen[:MOST_DEFAULT] or facts.defaults[:MOST_DEFAULT])


def answer(collection: Collection, facts: Facts, form: SearchForm) -> Answered:
    """Search each index of a form; one that cannot answer has its error in its column.

    Raises:
        InputError: the filter cannot be read, or nothing is asked.
        UnknownNameError: no such index, or no document to be like.
    """
    where = filter_text(facts.fields, form.chosen, form.where)
    if where:
        collection.filter_notes(where)  # what is wrong with it concerns all indexes
    if form.like:
        collection.document(form.like)
    for name in form.indexes:
        if name not in facts.indexes:
            raise unknown_name("index", name, form.library, list(facts.indexes))
    answers = {name: _ask(collection, name, form, where) for name in form.indexes}
    found = {name: one.hits for name, one in answers.items() if isinstance(one, _Answer)}
    ranks = {name: {hit.doc_id: hit.rank for hit in hits} for name, hits in found.items()}
    shown = _shown(found, ranks, facts.language, form.text)
    columns = [_column(name, facts, one, shown.get(name, [])) for name, one in answers.items()]
    return Answered(columns, _groups(ranks), where)


@dataclass(frozen=True)
class _Answer:
    hits: Hits
    timing: Timing | None
    understood: Sequence[Understood]


def _ask(collection: Collection, name: str, form: SearchForm, where: str) -> _Answer | str:
    """Return what an index answers, or its error as text."""
    mmr = MMR if form.diverse else None
    try:
        if form.like:
            hits = collection.search(
                like=[form.like], index=name, k=form.k, where=where or None, mmr=mmr
            )
            return _Answer(hits, None, ())

        def ask(retriever: Retriever) -> _Answer:
            (hits,), timing = retriever.answer(
                [form.query], form.k, where=where or None, options=SearchOptions(mmr)
            )
            # Only models with a vocabulary know words, or do not.
            known = [] if form.image else understood(retriever.finder, form.text)
            return _Answer(hits, timing, [one for one in known if one.unknown is not None])

        return collection.with_retriever(name, ask)
    except RetrieverError as error:
        return str(error)


def _column(name: str, facts: Facts, answered: _Answer | str, hits: Sequence[ShownHit]) -> Column:
    info = facts.indexes[name]
    family = info.family if info.family in FAMILIES else "other"
    column = Column(name, family, info.description)
    if isinstance(answered, str):
        return replace(column, error=answered)
    return replace(
        column,
        hits=hits,
        notes=answered.hits.notes,
        timing=answered.timing,
        understood=answered.understood,
    )


def _groups(ranks: Mapping[str, Mapping[str, int]]) -> list[Group]:
    documents = list(dict.fromkeys(doc_id for of in ranks.values() for doc_id in of))
    return [
        Group(finders, _says(finders, len(ranks)), len(ids))
        for finders, ids in found_by(ranks, documents).items()
    ]


def _says(finders: Sequence[str], answers: int) -> str:
    if len(finders) < answers:
        return f"only by {join_names(finders)}"
    return {1: f"by {finders[0]}", 2: "by both"}.get(answers, "by all")


def _shown(
    found: Mapping[str, Hits],
    ranks: Mapping[str, Mapping[str, int]],
    language: str,
    query: str,
) -> dict[str, list[ShownHit]]:
    texts = {
        (hit.doc_id, hit.passage): Excerpt(hit.title, hit.text[:MOST_CHARACTERS])
        for hits in found.values()
        for hit in hits
    }
    numbers = {passage: str(at) for at, passage in enumerate(texts)}
    shared = SharedWords({numbers[key]: text for key, text in texts.items()}, language)
    words = shared.of(telling(query, language), numbers.values()) if query.strip() else frozenset()
    pictures = _Pictures()

    def show(name: str, hit: Hit) -> ShownHit:
        text = hit.text[:MOST_CHARACTERS]
        others = [(other, of.get(hit.doc_id)) for other, of in ranks.items() if other != name]
        return ShownHit(
            hit,
            title=pieces_of(hit.title, list(matches_in(hit.title, words))),
            excerpt=excerpt_of(text, list(matches_in(text, words)), EXCERPT),
            metadata=shown_metadata(hit.metadata),
            elsewhere=others,
            image=pictures.of(hit),
            alt=alt_text(hit.title, hit.text, hit.doc_id),
        )

    return {name: [show(name, hit) for hit in hits] for name, hits in found.items()}


class _Pictures:
    """Thumbnails of hits, each made once; None of an image that cannot be shown."""

    def __init__(self) -> None:
        self._made: dict[str, Thumbnail | None] = {}

    def of(self, hit: Hit) -> Thumbnail | None:
        if hit.doc_id not in self._made:
            self._made[hit.doc_id] = thumbnail_if_any(hit.image)
        return self._made[hit.doc_id]


def shown_metadata(
    metadata: Mapping[str, object], most: int = MOST_FIELDS
) -> list[tuple[str, str]]:
    """Return the first fields with short values, for one line."""
    shown = []
    for name, value in metadata.items():
        if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
            value = ", ".join(value)
        if isinstance(value, bool):
            value = str(value).lower()
        if isinstance(value, str | int | float) and len(text := one_line(str(value))) > 0:
            shown.append((one_line(name), beginning(text, LONGEST_VALUE)))
    return shown[:most]
