"""The methods of a collection for words in context."""

from __future__ import annotations

from collections.abc import Sequence

from indexes.progress import Progress
from indexes.store import Store
from retriever.indexing.embedder_pool import EmbedderPool
from retriever.word_senses.analysis import OCCURRENCES, SenseOptions, senses_of, uses_of
from retriever.word_senses.index_choice import split_by_kind
from retriever.word_senses.results import WordSenses, WordUses


class WordSenseMethods:
    """Mixin of `Collection`: senses and uses of words."""

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
        """Return a word's senses in this corpus, and its `k` nearest words in a static table.

        A BM25 index finds at most `occurrences` of the word, evenly spread over the corpus. The
        embedder of `index`, by default the first contextual one, encodes them in their sentences.
        The vectors are cached, and clustered into `senses` groups or an estimated number (see
        `word_senses.clusters`). `layer` and `pieces` are those of `WordEncoding.encode_words`.
        `static` is the index of the static table, by default the first one.

        Raises:
            InputError: not one word, a number out of range, no such layer, no BM25 index, or no
                contextual index.
            UnknownNameError: no index has the given name.
        """
        options = SenseOptions(index, static, occurrences, layer, pieces, progress)
        return senses_of(self._store, self._models, word, options, senses, k)

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
        """Return the `k` sentences of this corpus that use a word most similarly to a text.

        They are ranked by the cosine of the word's contextual vectors, and also have the cosine of
        its static vectors. The other parameters are those of `word`.

        Raises:
            InputError: the word is not in the text, or as in `word`.
            UnknownNameError: no index has the given name.
        """
        options = SenseOptions(index, static, occurrences, layer, pieces, progress)
        return uses_of(self._store, self._models, word, text, options, k)

    def split_by_kind(self, names: Sequence[str]) -> tuple[list[str], str | None]:
        """Split names of vector indexes, at most one static, as `word` takes them."""
        return split_by_kind(self._store, names)
