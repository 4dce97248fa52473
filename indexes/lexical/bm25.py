"""BM25 over the texts of passages: immutable, and searched by terms.

Robertson and Zaragoza 2009, "The Probabilistic Relevance Framework: BM25 and Beyond", with Lucene's
idf = ln(1 + (N - n + 0.5) / (n + 0.5)): a term that comes f times among a passage's l adds
idf (k1 + 1) f / (f + k1 (1 - b + b l / mean l)). tantivy computes with k1 = 1.2 and b = 0.75; for
others see `tuned`. As in Lucene, l is kept in one byte: exact up to 40, and rounded down by up to a
ninth above. The mean is exact.
"""

from __future__ import annotations

import contextlib
import json
import math
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import tantivy
from numpy.typing import NDArray

from indexes.catalog.passages import Passage
from indexes.errors import CollectionError, DamageError
from indexes.lexical import deleted as deleted_passages
from indexes.lexical.deleted import Deleted
from indexes.lexical.options import LexicalOptions
from indexes.lexical.tuned import TunedScores
from indexes.neighbors import NO_KEY, Keys, Matrix, Neighbors, is_among
from indexes.storage.files import unreadable
from indexes.text.characters import letters
from indexes.text.normalize import normalize, without_joiners
from indexes.text.unspaced import spell_out

# How texts are read; an index that was built in another way is out of date.
READING = "normalized"
# The same words as the embedders': runs of letters, marks and digits in normal form.
WORDS = "letters, marks, digits"
# The terms of a query, and how often each counts.
Terms = Mapping[str, float]
# What returns the best passages of a query, at most so many: their keys and scores, in order.
Fetch = Callable[[int], tuple[Keys, Matrix]]

KEY, TEXT, LENGTH, ANALYZER = "key", "text", "length", "passages"
# Beginnings of descriptions in tantivy's explanations of scores.
FREQUENCY, MEAN_LENGTH = "freq, ", "avgdl, "
EXPLAINED_AT_ONCE = 8
LONGEST_WORD = 255  # bytes; longer runs are not words of any language
# Two threads would write two segments where one will do.
THREADS, HEAP_BYTES = 1, 96 << 20
# tantivy's threads have work while the next passages are read for other folders.
AT_ONCE = 500
# tantivy adds terms in single precision, in an order that depends on the document: with more
# decimals, equal texts would not tie.
DECIMALS = 4
# Up to this many keys, a clause of the query is faster than filtering all matches: 3 ms for 100,000
# passages, where filtering may take 60.
FEW_KEYS = 500
MORE, NEXT_FACTOR = 8, 4
CLEARINGS, CLEARING_SECONDS = 20, 0.005


def terms_of(text: str, options: LexicalOptions) -> Terms:
    """Return the terms of a query as an index holds them: its words in lower case, stemmed."""
    # Sorted, so that scores are added in one order.
    return dict(sorted(Counter(tokens_of(text, options, query=True)).items()))


def tokens_of(text: str, options: LexicalOptions, *, query: bool = False) -> list[str]:
    """Return the terms of a text, or of a query, in order, each as often as it occurs."""
    # tantivy refuses half a surrogate pair.
    valid = _readable(text.encode(errors="replace").decode(), query=query)
    tokens: list[str] = _analyzer(options.language, options.stopwords).analyze(valid)
    return tokens


class Required(dict[str, float]):
    """The terms of a query all of which a passage must have; `accepts` says which may be found."""

    accepts: Callable[[Keys], NDArray[np.bool_]] | None = None


class LexicalIndex:
    """An open, immutable BM25 index over passages."""

    def __init__(self, index: Any, options: LexicalOptions, deleted: Deleted) -> None:
        self.options, self._index = options, index
        self._searcher = index.searcher()
        self._deleted, self._hidden = deleted, np.unique(np.array(deleted.keys, np.int64))
        self.rows = int(self._searcher.num_docs)  # including deleted passages
        self._tuned = TunedScores(self, options) if options.is_tuned else None

    @cached_property
    def keys(self) -> Keys:
        """Keys of its passages, ascending, without those deleted before it was built."""
        every = self._hits(tantivy.Query.all_query(), self.rows)[0]
        return np.setdiff1d(every, self._hidden)

    @cached_property
    def explains(self) -> bool:
        """Whether this version of tantivy explains scores in the words that are read here."""
        for term, _ in self._searcher.terms_with_prefix(TEXT, "", limit=1):
            query = _any_of({term: 1}, None)
            _, place = self._searcher.search(query, 1, count=False).hits[0]
            return all(self._explained(query, place, name) for name in (FREQUENCY, MEAN_LENGTH))
        return True

    def words_of(self, keys: Keys) -> Deleted:
        """Return some passages of it as deleted ones; one takes some 10 ms of 100,000 abstracts."""
        # An explanation takes time for every term of the query, so for those of all keys.
        starts = range(0, len(keys), EXPLAINED_AT_ONCE)
        some = [keys[start : start + EXPLAINED_AT_ONCE] for start in starts]
        return deleted_passages.total(map(self._words_of, some))

    def _words_of(self, keys: Keys) -> Deleted:
        among = _one_of(keys)
        terms = dict(self._searcher.terms_with_prefix(TEXT, "", filter_query=among))
        query = _any_of(dict.fromkeys(terms, 1), among)
        hits = self._searcher.search(query, len(keys), count=False).hits
        words = sum(sum(self._explained(query, place, FREQUENCY)) for _, place in hits)
        return Deleted(keys.tolist(), round(words), terms)

    def count_words(self) -> int:
        """Return the number of words of all its passages, exact to single precision."""
        for term, _ in self._searcher.terms_with_prefix(TEXT, "", limit=1):
            query = _any_of({term: 1}, None)
            _, place = self._searcher.search(query, 1, count=False).hits[0]
            return round(self._explained(query, place, MEAN_LENGTH)[0] * self.rows)
        return 0

    def _explained(self, query: Any, place: Any, name: str) -> list[float]:
        """Return the values of a name in tantivy's explanation of a score."""
        parts, values = [json.loads(query.explain(self._searcher, place).to_json())], []
        while parts:
            part = parts.pop()
            parts += part.get("details", ())
            if part["description"].startswith(name):
                values.append(float(part["value"]))
        return values

    def search(
        self, queries: Sequence[Terms], k: int, *, deleted: Keys, allowed: Keys | None = None
    ) -> Neighbors:
        """Return the `k` best passages of each query that share a term with it.

        Without the keys in `deleted`, and only those in `allowed`, both ascending. Scores are BM25,
        to four decimals; ties are ordered by key.
        """
        k = min(k, max(self.rows, 1))
        keys = np.full((len(queries), k), NO_KEY)
        scores = np.full((len(queries), k), -np.inf, np.float32)
        few = self._tuned is None and allowed is not None and len(allowed) <= FEW_KEYS
        among = _one_of(allowed) if allowed is not None and few else None
        for row, terms in enumerate(queries):
            accepts = terms.accepts if isinstance(terms, Required) else None
            fetch = self._fetch(terms, among)
            found = self._best(fetch, k, deleted, None if few else allowed, accepts)
            width = len(found[0])
            keys[row, :width], scores[row, :width] = found
        return Neighbors(keys, scores)

    def _fetch(self, terms: Terms, among: Any | None) -> Fetch:
        """Return what fetches the best passages for some terms, of those that `among` matches."""
        weights, all_of = self._weights(terms), isinstance(terms, Required)
        if all_of and len(weights) < len(terms):  # no live passage has one of them
            weights = {}
        if self._tuned:
            return self._tuned.fetch(weights, all_of=all_of)
        return partial(self._hits, _any_of(weights, among, all_of=all_of))

    def scores(self, queries: Sequence[Terms], keys: Keys) -> Matrix:
        """Return BM25 of `keys` (n, m) for each of n queries; 0 without a common term.

        -inf for key -1 and for a key that is not in the index.
        """
        known = is_among(keys, self.keys)
        scores = np.where(known, np.float32(0), np.float32(-np.inf))
        for row, terms in enumerate(queries):
            wanted = np.unique(keys[row][known[row]])
            for start in range(0, len(wanted), FEW_KEYS):
                found, values = self._scored(terms, wanted[start : start + FEW_KEYS])
                order = np.argsort(found)
                found, values = found[order], values[order]
                here = is_among(keys[row], found)
                scores[row, here] = values[np.searchsorted(found, keys[row][here])]
        return scores

    def _scored(self, terms: Terms, wanted: Keys) -> tuple[Keys, Matrix]:
        """Return the scores of some keys that share a term with a query, and these keys."""
        if self._tuned:
            return self._tuned.scored(self._weights(terms), wanted)
        return self._hits(_any_of(self._weights(terms), _one_of(wanted)), len(wanted))

    def having(self, term: str) -> int:
        """Return how many live passages have a term."""
        return int(self._searcher.doc_freq(TEXT, term)) - self._deleted.terms.get(term, 0)

    def idf(self, term: str) -> float:
        """Return the idf of a term among the live passages."""
        return math.log1p((len(self.keys) - (n := self.having(term)) + 0.5) / (n + 0.5))

    def lengths(self) -> tuple[Keys, NDArray[np.int64]]:
        """Return all keys, those of deleted passages too, and the length of each, ascending.

        Only an index with parameters of its own knows lengths.
        """
        keys, _, lengths = self._read(tantivy.Query.all_query(), self.rows, LENGTH)
        order = np.argsort(keys, kind="stable")
        return keys[order], lengths[order]

    def postings(self, term: str) -> tuple[Keys, NDArray[np.float64]]:
        """Return the keys of passages with a term, and tantivy's score of it, unrounded."""
        query = _any_of({term: 1}, None)
        keys, scores, _ = self._read(query, max(1, self._searcher.doc_freq(TEXT, term)))
        return keys, scores

    def _weights(self, terms: Terms) -> Mapping[str, float]:
        """Return how often each term counts, by the statistics of the live passages."""
        if not len(self._hidden) or self._tuned:
            return terms
        having = {term: self._searcher.doc_freq(TEXT, term) for term in terms}
        return {
            term: count * self._deleted.weight(term, self.rows, having[term])
            for term, count in terms.items()
            if having[term] > self._deleted.terms.get(term, 0)
        }

    def _best(
        self,
        fetch: Fetch,
        k: int,
        deleted: Keys,
        allowed: Keys | None,
        accepts: Callable[[Keys], NDArray[np.bool_]] | None,
    ) -> tuple[Keys, Matrix]:
        """Fetch more until `k` visible hits are found, and all that tie with the last."""
        visible = self.rows - len(deleted) if allowed is None else len(allowed)
        # Enough if the visible passages are spread evenly.
        wanted = min((k + MORE) * self.rows // max(visible, 1) + 1, self.rows + 1)
        while True:
            found, scores = fetch(wanted)
            may = ~is_among(found, deleted)
            if len(self._hidden):
                may &= ~is_among(found, self._hidden)
            if allowed is not None:
                may &= is_among(found, allowed)
            if accepts is not None:
                may[may] = accepts(found[may])
            # The last hit may tie with hits that were not fetched.
            complete = len(found) < wanted
            if complete or (may.sum() >= k and scores[may][k - 1] > scores[-1]):
                order = np.lexsort((found[may], -scores[may]))[:k]
                return found[may][order], scores[may][order]
            wanted = min(NEXT_FACTOR * wanted, self.rows + 1)

    def _hits(self, query: Any, limit: int) -> tuple[Keys, Matrix]:
        keys, scores, _ = self._read(query, limit)
        return keys, np.round(scores, DECIMALS).astype(np.float32)

    def _read(
        self, query: Any, limit: int, column: str = KEY
    ) -> tuple[Keys, NDArray[np.float64], NDArray[np.int64]]:
        """Return the keys and scores of the best passages of a query, and a column of them."""
        try:
            hits = self._searcher.search(query, max(limit, 1), count=False).hits
            places = [address for _, address in hits]
            keys = np.array(self._searcher.fast_field_values(KEY, places), np.int64)
            values = keys
            if column != KEY:
                values = np.array(self._searcher.fast_field_values(column, places), np.int64)
        except ValueError as error:
            raise DamageError(f"The BM25 index cannot be read: {reason(error)}.") from None
        return keys, np.array([score for score, _ in hits], np.float64), values


def _any_of(terms: Mapping[str, float], among: Any | None, *, all_of: bool = False) -> Any:
    """Return a query for passages with any of some terms, scored by them, that `among` matches.

    With `all_of`, for those with all of them.
    """
    query, schema = tantivy.Query, _schema()
    if not terms:
        return query.empty_query()
    should = [
        query.term_query(schema, TEXT, term, "freq")
        if count == 1
        else query.boost_query(query.term_query(schema, TEXT, term, "freq"), float(count))
        for term, count in terms.items()
    ]
    occur = tantivy.Occur.Must if all_of else tantivy.Occur.Should
    any_of = query.boolean_query([(occur, one) for one in should])
    if among is None:
        return any_of
    return query.boolean_query([(tantivy.Occur.Must, any_of), (tantivy.Occur.Must, among)])


def _one_of(keys: Keys) -> Any:
    """Return a clause that matches the passages of some keys and adds nothing to their scores."""
    query, schema = tantivy.Query, _schema()
    # tantivy's query for a set of terms was measured twice as slow.
    one_of = [(tantivy.Occur.Should, query.term_query(schema, KEY, key)) for key in keys.tolist()]
    return query.const_score_query(query.boolean_query(one_of), 0.0)


def write(options: LexicalOptions, passages: Mapping[Path, Iterable[Passage]]) -> None:
    """Index passages into folders that hold no index, each by a thread of its own; not synced.

    Raises tantivy's ValueErrors.
    """
    analyzer = _analyzer(options.language, options.stopwords)
    writers = [_writer(folder, options) for folder in passages]
    try:
        waiting = {
            writer: iter(some) for writer, some in zip(writers, passages.values(), strict=True)
        }
        while waiting:
            for writer, coming in list(waiting.items()):
                some = list(islice(coming, AT_ONCE))
                for passage in some:
                    text = _readable(passage.text)
                    fields = {KEY: passage.key, TEXT: text}
                    if options.is_tuned:
                        fields[LENGTH] = len(analyzer.analyze(text))
                    writer.add_document(tantivy.Document(**fields))
                if len(some) < AT_ONCE:
                    del waiting[writer]
        with ThreadPoolExecutor(len(writers), "bm25") as pool:
            list(pool.map(lambda writer: writer.commit(), writers))
    finally:
        for writer in writers:
            writer.wait_merging_threads()


def _writer(folder: Path, options: LexicalOptions) -> Any:
    index = tantivy.Index(_schema(with_lengths=options.is_tuned), path=str(folder))
    index.register_tokenizer(ANALYZER, _analyzer(options.language, options.stopwords))
    return index.writer(HEAP_BYTES, THREADS)


def reading(options: LexicalOptions) -> str:
    """Return what decides which terms a text has: segments of another reading are not kept."""
    own = f" {options}" if options != LexicalOptions(options.language) else ""
    return f"{READING} {options.language} {WORDS} {LONGEST_WORD} tantivy {tantivy.__version__}{own}"


def load(folder: Path, options: LexicalOptions) -> LexicalIndex:
    """Open a finished index through links elsewhere: tantivy writes locks next to what it opens."""
    try:
        with _links_to(folder) as links:
            index = tantivy.Index.open(str(links))
            index.register_tokenizer(ANALYZER, _analyzer(options.language, options.stopwords))
            index.config_reader("manual", 0)
            # From here on, it holds every file open.
            return LexicalIndex(index, options, deleted_passages.read(folder))
    except (ValueError, OSError) as error:
        raise unreadable(folder, reason(error)) from None


@contextlib.contextmanager
def _links_to(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder with links to the files of another."""
    try:
        links = Path(tempfile.mkdtemp(prefix="retriever-"))
    except OSError as error:
        raise CollectionError(
            f"Opening a BM25 index needs a temporary folder: {reason(error)}. "
            "Set TMPDIR to a folder that can be written to."
        ) from None
    try:
        for path in folder.iterdir():
            (links / path.name).symlink_to(path.resolve())
        yield links
    finally:
        # A thread of tantivy's may create a lock there while we remove the folder.
        for _ in range(CLEARINGS):
            shutil.rmtree(links, ignore_errors=True)
            if not links.exists():
                break
            time.sleep(CLEARING_SECONDS)


def _readable(text: str, *, query: bool = False) -> str:
    """Return the words of a text, each of which is a term, between spaces; see `indexes.text`."""
    if not text.isascii():
        # One sigma for both its forms.
        text = spell_out(without_joiners(normalize(text)).replace("ς", "σ"), query=query)
    return text.translate(letters(lower=False))


def reason(error: Exception) -> str:
    """Return tantivy's message in one line."""
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


@lru_cache(maxsize=2)
def _schema(*, with_lengths: bool = False) -> Any:
    builder = tantivy.SchemaBuilder()
    builder.add_integer_field(KEY, indexed=True, fast=True)
    # Frequencies without positions: phrases are looked up in the texts.
    builder.add_text_field(TEXT, tokenizer_name=ANALYZER, index_option="freq")
    if with_lengths:
        builder.add_integer_field(LENGTH, fast=True)
    return builder.build()


@lru_cache(maxsize=8)
def _analyzer(language: str, stopwords: bool) -> Any:
    # Its tokenizer for patterns takes as long as all the rest.
    builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace())
    builder = builder.filter(tantivy.Filter.remove_long(LONGEST_WORD))
    builder = builder.filter(tantivy.Filter.lowercase())
    if stopwords:
        builder = builder.filter(tantivy.Filter.stopword(language))
    if language != "none":
        builder = builder.filter(tantivy.Filter.stemmer(language))
    return builder.build()
