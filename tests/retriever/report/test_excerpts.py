"""Excerpts: where the words of a query are, in pieces."""

from retriever.report.excerpts import Piece, excerpt_of, pieces_of


def shown(pieces):
    return "".join(f"[{one.text}]" if one.marked else one.text for one in pieces)


def test_a_short_text_is_whole_with_its_words_marked_and_white_space_collapsed():
    assert shown(pieces_of("The cat\n\n purrs.", [(4, 7)])) == "The [cat] purrs."
    assert shown(excerpt_of("The cat purrs.", [(4, 7), (8, 13)], 400)) == "The [cat] [purrs]."
    assert excerpt_of("", [], 10) == []
    assert pieces_of("a", []) == [Piece("a")]


def test_a_long_text_is_shown_from_the_sentence_where_most_words_are():
    text = f"{'One cat here. ' * 10}The cat and the dog. {'More of it. ' * 10}"
    at = text.index("The cat")
    spans = [(14 * n + 4, 14 * n + 7) for n in range(10)] + [(at + 4, at + 7), (at + 16, at + 19)]
    assert shown(excerpt_of(text, spans, 100)).startswith("… ")
    assert "The [cat] and the [dog]." in shown(excerpt_of(text, spans, 100))
    assert len(shown(excerpt_of(text, spans, 100))) < 120


def test_a_long_text_without_a_word_of_the_query_is_shown_from_its_start():
    assert shown(excerpt_of("one two three four", [], 12)) == "one two …"
    assert shown(excerpt_of("x" * 30, [], 10)) == f"{'x' * 10} …"
