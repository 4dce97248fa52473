"""The questions about words that a collection answers."""

from __future__ import annotations

from collections.abc import Sequence

from indexes.progress import Progress
from indexes.store import Store
from retriever.documents import silent
from retriever.indexing.embedder_pool import EmbedderPool
from retriever.word_senses.analysis import OCCURRENCES, SenseOptions, senses_of, uses_of
from retriever.word_senses.index_choice import split_by_kind
from retriever.word_senses.results import WordSenses, WordUses


class WordQuestions:
    """What a collection has for words; see `collection.Collection`."""

    _store: Store
    _models: EmbedderPool

    def word(
        self,
        word: str,
        *,
        index: str | None = None,
        static: str | None = None,
        senses: int | None = None,
        occurrences: int = OCCURRENCES,
        layer: int | None = None,
        pieces: str = "mean",
        k: int = 10,
        progress: Progress | None = None,
    ) -> WordSenses:
        """A word's senses in this corpus, beside its `k` nearest words in a static table.

        At most so many `occurrences`, evenly spread over the corpus, are found by an index of
        words (BM25), and encoded in their sentences by the embedder of `index`: the first
        contextual one without it. They are kept in the cache. Their vectors are grouped into as
        many senses as stand apart (see `wordsenses.clusters`), or into `senses`. `layer` and
        `pieces` are those of `WordEncoding.encode_words`; `static` is an index of static vectors,
        the first one without it.

        Raises:
            InputError: not one word, a number that does not fit, no such layer, no index of words,
                or none of contextual vectors.
            UnknownNameError: no such index.
        """
        asking = SenseOptions(index, static, occurrences, layer, pieces, progress or silent)
        return senses_of(self._store, self._models, word, asking, senses=senses, k=k)

    def word_in(
        self,
        word: str,
        text: str,
        *,
        index: str | None = None,
        static: str | None = None,
        occurrences: int = OCCURRENCES,
        layer: int | None = None,
        pieces: str = "mean",
        k: int = 10,
        progress: Progress | None = None,
    ) -> WordUses:
        """The `k` sentences of this corpus that use a word most as a text does.

        By the cosine of the word's vectors in these contexts; beside it stands that of its vectors
        without context, which is the same everywhere. The rest as in `word`.

        Raises:
            InputError: the text does not have the word; else as in `word`.
            UnknownNameError: no such index.
        """
        asking = SenseOptions(index, static, occurrences, layer, pieces, progress or silent)
        return uses_of(self._store, self._models, word, text, asking, k=k)

    def split_by_kind(self, names: Sequence[str]) -> tuple[list[str], str | None]:
        """Of some indexes those that are not static, and the one that is: for `word`.

        Raises:
            UnknownNameError: no such index.
            InputError: two are static, or one has no vectors of its own.
        """
        return split_by_kind(self._store, names)
