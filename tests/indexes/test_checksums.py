from hypothesis import given
from hypothesis import strategies as st

from indexes.checksums import (
    are_intact_hits,
    document_row_checksum,
    is_intact_document,
    is_intact_passage,
    passage_row_checksum,
    text_checksum,
)


def found(number, doc_id, title, text, metadata):
    """A row as a search finds it: a passage of the whole text, and its document."""
    passage = number + 10, number, 0, len(text)
    document = number, doc_id, text_checksum(title, text), metadata
    checksums = passage_row_checksum(*passage), document_row_checksum(*document)
    return *passage, checksums[0], *document, checksums[1], title, text


ROWS = [
    found(1, "cat", "", "A kitten purrs.", "{}"),
    found(2, "ä b", "Tïtle", "", '{"a":1}'),
    found(3, "b'x'", "3", "7", "{}"),
]
WIDTH = len(ROWS[0])
NUMBERS = st.integers(-(2**63), 2**63 - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
CELLS = st.one_of(NUMBERS, st.floats(allow_nan=False), TEXTS, st.binary(), st.none())


def one_by_one(row):
    title, text = row[10:]
    intact = is_intact_passage(row[:5]) and is_intact_document(row[5:10])
    texts = isinstance(title, str) and isinstance(text, str)
    return intact and texts and text_checksum(title, text) == row[7]


def test_committed_rows_are_intact():
    assert are_intact_hits([])
    assert are_intact_hits(ROWS)
    assert all(map(one_by_one, ROWS))


@given(st.integers(0, len(ROWS) - 1), st.integers(0, WIDTH - 1), CELLS)
def test_another_value_in_any_cell_is_detected(at, column, value):
    rows = [list(row) for row in ROWS]
    same = type(value) is type(rows[at][column]) and value == rows[at][column]
    rows[at][column] = value
    assert are_intact_hits(rows) == same
    assert one_by_one(rows[at]) or not same


@given(NUMBERS, TEXTS, TEXTS, TEXTS, TEXTS, st.integers(0, 31), st.integers(0, 200))
def test_a_changed_bit_of_a_checksum_or_text_is_detected_in_any_row(
    number, doc_id, title, text, metadata, bit, place
):
    row = found(number // 2, doc_id, title, text, metadata)
    assert are_intact_hits([row])
    for column in (4, 9):
        assert not are_intact_hits([(*row[:column], row[column] ^ 1 << bit, *row[column + 1 :])])
    cut = place % (len(text) + 1)
    assert not are_intact_hits([(*row[:11], f"{text[:cut]}\N{SNOWMAN}{text[cut:]}")])


def test_a_lost_document_or_text_is_not_intact():
    row = ROWS[0]
    assert not are_intact_hits([ROWS[1], (*row[:5], *[None] * 7)])
    assert not are_intact_hits([(*row[:10], None, None)])
