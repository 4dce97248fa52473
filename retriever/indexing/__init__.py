"""Building indexes with embedders: requests, plans, reports, fingerprints.

An embedding's *fingerprint* is one line of JSON over everything that decides its vectors (weights,
vocabulary, pooling, prompts, length; not names or paths). It is compared whenever a query or a new
document meets an index; a mismatch names the parts that differ.

An index over a teacher's vectors may have its queries encoded by a distilled student. Its
definition names the student by fingerprint, the student's folder names its teacher's, and both are
compared at every search: a wrong pair cannot answer.
"""
