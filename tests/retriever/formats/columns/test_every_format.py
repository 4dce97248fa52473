"""The same table gives the same documents, whatever it is written as."""

import hashlib
import string

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexes.document import Document
from tests.support.laws import examples
from tests.support.sources.tables import every_source, read_quietly

# What cells of every format hold: workbooks refuse control characters, and CSV trims nothing.
LETTERS = string.ascii_letters + string.digits + " ,;|\t\"'é\n中"
WORDS = st.text(LETTERS, min_size=1, max_size=12).filter(str.strip)
IDS = st.integers(-(10**15), 10**15)
YEARS = st.integers(-(2**53), 2**53)


@st.composite
def tables(draw):
    """Draw columns of one length: ids, titles, texts, more texts, and a number."""
    ids = draw(st.lists(IDS, min_size=2, max_size=12, unique=True))
    count = len(ids)

    def column(values):
        return draw(st.lists(values, min_size=count, max_size=count))

    return {
        "sku": ids,
        "name": ["n" + text for text in column(WORDS)],
        "description": [*column(WORDS.map("d".__add__) | st.none())[1:], "last"],
        "more": ["m", *column(WORDS.map("m".__add__) | st.none())[1:]],
        "year": [2020, *column(YEARS | st.none())[1:]],
    }


def expected(table, *texts):
    """Return the documents of a table, by hand."""
    documents = []
    for at, sku in enumerate(table["sku"]):
        parts = [table[name][at] or "" for name in texts]
        text = parts[0] if len(texts) == 1 else "\n\n".join(part for part in parts if part.strip())
        used = ("sku", "name", *texts)
        rest = {name: cells[at] for name, cells in table.items() if name not in used}
        metadata = {name: value for name, value in rest.items() if value is not None}
        documents.append(Document(str(sku), text, table["name"][at], metadata))
    return documents


def without_nulls(document):
    metadata = {name: value for name, value in document.metadata.items() if value is not None}
    return Document(document.doc_id, document.text, document.title, metadata)


@given(table=tables(), guessed=st.booleans())
@settings(max_examples=examples(30), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_table_in_any_format_gives_the_same_documents(tmp_path_factory, table, guessed):
    folder = tmp_path_factory.mktemp("law")
    given_ = {} if guessed else {"id": "sku", "title": "name", "text": ["more", "description"]}
    documents = expected(table, *(["description"] if guessed else ["more", "description"]))
    for name, source in every_source(folder, table).items():
        found = [without_nulls(one) for one in read_quietly(source, types="auto", **given_)]
        assert found == documents, name


@given(table=tables())
@settings(max_examples=examples(20), deadline=None)
def test_ids_made_from_the_content_are_the_same_in_any_format(tmp_path_factory, table):
    folder = tmp_path_factory.mktemp("law")
    texts = {name: table[name] for name in ("name", "description")}
    pairs = dict.fromkeys(zip(texts["name"], [t or "" for t in texts["description"]], strict=True))
    ids = set()
    for name, source in every_source(folder, texts).items():
        found = read_quietly(source)
        assert [(one.title, one.text) for one in found] == list(pairs), name
        ids.add(tuple(one.doc_id for one in found))
    assert len(ids) == 1


def test_an_id_made_from_the_content_is_its_checksum():
    content = b"\x03" + bytes(7) + b"Mug" + b"A blue mug"
    (found,) = read_quietly([{"name": "Mug", "description": "A blue mug", "year": 2020}])
    assert found.doc_id == hashlib.blake2b(content, digest_size=16).hexdigest()
