"""One snapshot of a collection, and the searchers of its indexes.

A filter's keys are kept as long as no document changes. Where it leaves few rows, these are copied
together and searched exactly, whatever the index; where it leaves many, the others are masked in
the ANN index, with more effort the more is masked. An index that takes no mask is bypassed. When an
ANN index returns fewer than `k` though there are more, the search is repeated exactly.

Passages that were found lately are kept in memory with their documents until one of these changes,
as far as they fit into a limit in bytes.

Where documents are split into passages, a search asks for more passages until `k` documents are
among them.
"""
