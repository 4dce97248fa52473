"""A folder whose name is not UTF-8 is refused with one sentence, and left as it was."""

import os
from pathlib import Path

import pytest

from indexes.errors import CollectionError
from retriever import Collection
from tests.support.commands import fail


@pytest.fixture
def odd(tmp_path):
    return Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))


@pytest.mark.parametrize("inner", ["", "inside"])
@pytest.mark.parametrize("open_it", [Collection.create, Collection.open])
def test_a_path_that_is_not_utf8_is_refused(odd, open_it, inner):
    with pytest.raises(CollectionError, match=r"is not UTF-8.*Rename that folder"):
        open_it(odd / inner)
    assert not odd.exists()


def test_the_command_line_says_the_same(odd, tmp_path):
    file = tmp_path / "texts.txt"
    file.write_text("owl\n")
    assert "is not UTF-8" in fail("info", str(odd))
    assert "is not UTF-8" in fail("add", str(odd), str(file))
