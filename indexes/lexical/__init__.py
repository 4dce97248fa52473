"""BM25 over the words of all texts, on tantivy.

Its scores depend on document frequencies, and a corpus that came in ten increments must answer like
one that came at once: see `segments`. Until it is built again, removed passages are hidden by their
tombstones, edited documents answer by their earlier text, and new ones are counted in a note.
A query is split into the same terms as the texts, and searched as terms: it has no syntax. tantivy
sums in single precision in an order that depends on the document, so scores are rounded to four
decimals: equal texts tie, and ties are ordered by key.
"""
