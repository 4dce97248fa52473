"""Words in context: the senses that a word has in a corpus, and the passages that use it in one."""

from retriever.word_senses.results import Neighbour, Sense, Use, WordSenses, WordUses

__all__ = ["Neighbour", "Sense", "Use", "WordSenses", "WordUses"]
