"""Values that users give: what counts as a number, and as a list."""

import math
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from indexes.values import as_list, is_number


@pytest.mark.parametrize("value", [0, -1.5, np.int64(3), np.float32(0.5), Fraction(1, 3)])
def test_finite_numbers_of_any_type_are_numbers(value):
    assert is_number(value)


@pytest.mark.parametrize("value", [True, None, "1", math.nan, -math.inf, 1j, [1], 10**400])
def test_nothing_else_is_a_number(value):
    assert not is_number(value)


@pytest.mark.parametrize("made", [list, tuple, iter, np.array, pd.Series])
def test_any_iterable_is_a_list(made):
    assert as_list(made(["a", "b"])) == ["a", "b"]


@pytest.mark.parametrize("value", ["ab", b"ab", None, 3])
def test_a_text_is_no_list(value):
    assert as_list(value) is None
