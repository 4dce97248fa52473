"""Words in context: the senses of a word in a corpus, and its uses in a given sense."""

from retriever.word_senses.results import Neighbor, Sense, Use, WordSenses, WordUses

__all__ = ["Neighbor", "Sense", "Use", "WordSenses", "WordUses"]
