"""Records of hits have all that a hit has."""

from dataclasses import fields

from retriever import Hit, Hits
from retriever.records import HIT_FIELDS, hit_records


def test_a_record_has_every_field_of_a_hit_and_its_image_by_place():
    assert {one.name for one in fields(Hit)} == {*HIT_FIELDS, "image"}
    hit = Hit(1, "a", 0.5, "text", "title", {"year": 2020}, (0, 4))
    (record,) = hit_records("", "query", "index", Hits((hit,)))
    made = {name: getattr(hit, name) for name in HIT_FIELDS}
    assert record == {"query": "query", "index": "index", **made}
    record["metadata"]["year"] = 0
    assert hit.metadata == {"year": 2020}
