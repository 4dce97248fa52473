"""The sentence of a hit that is shown, and its marked words."""

import numpy as np

from retriever import Hit, Hits
from retriever.report.terminal.best_sentences import MOST_ENCODED, best_sentences, matches


def hits(*texts):
    return Hits(tuple(Hit(n, f"d{n}", 1.0, text) for n, text in enumerate(texts, start=1)))


def test_the_sentence_with_most_words_of_the_query_is_chosen_the_first_of_several():
    text = "Rates fell. The bank raised rates. Rates and banks rose."
    assert best_sentences(hits(text, "", "Owls."), "bank rates", "english") == [
        ("The bank raised rates.", [(4, 8), (16, 21)]),
        ("", []),
        ("Owls.", []),
    ]


def test_stop_words_decide_nothing_and_are_not_marked():
    chosen = best_sentences(hits("The one of the many. An owl."), "the owl of the", "english")
    assert chosen == [("An owl.", [(3, 6)])]
    assert matches("the owl", "the", "english") == []
    assert matches("the owl", "the", "none") == [(0, 3)]


def test_a_model_chooses_the_nearest_sentence():
    seen = []

    def encode(texts):
        seen.append(texts)
        return np.array([[1, 0], [0, 1], [2, 0.1]])

    assert best_sentences(hits("Some bank. A lender."), "bank", "english", encode) == [
        ("A lender.", [])
    ]
    assert seen == [["bank", "Some bank.", "A lender."]]


def test_of_many_sentences_words_decide():
    def encode(texts):
        raise AssertionError(texts)

    many = hits("One here. " * MOST_ENCODED + "An owl. ")
    assert best_sentences(many, "owl", "english", encode) == [("An owl.", [(3, 6)])]


def test_controls_and_line_ends_become_spaces():
    assert best_sentences(hits("An\x1b[2J\n owl."), "owl", "english")[0][0] == "An [2J owl."
