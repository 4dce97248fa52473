"""Which columns hold the id, the title and the text: as given, and as a reader uses them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from indexes.errors import InputError
from retriever.formats.columns.names import TEXT, TITLE
from retriever.formats.columns.values import text_of


@dataclass(frozen=True)
class Columns:
    """The columns that the user names; what is None, or no text, is to be found."""

    id: str | None = None
    title: str | None = None
    text: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        id: str | None,  # noqa: A002
        title: str | None,
        text: str | Sequence[str] | None,
    ) -> Columns:
        """Return the columns of these names; `text` is one, or several that are joined.

        Raises:
            InputError: a name is not text, or two roles have the same column.
        """
        texts = (text,) if isinstance(text, str) else tuple(text or ())
        names = [name for name in (id, title, *texts) if name is not None]
        for name in names:
            if not isinstance(name, str) or not name:
                raise InputError(
                    f"The column {name!r} is not a name; expected text, as in the file."
                )
            if names.count(name) > 1:
                raise InputError(
                    f"Column '{name}' was given twice; give a column for each of them."
                )
        return cls(id, title, texts)

    @property
    def given(self) -> tuple[str, ...]:
        """All names that the user gave."""
        return tuple(name for name in (self.id, self.title, *self.text) if name is not None)


@dataclass(frozen=True)
class Layout:
    """How the fields of a record become an id, a title and a text.

    The id is the first of `ids` that a record has; without `ids` it is made. Where `exact`, a
    record needs a text that is text; elsewhere null is an empty text and a number its digits, and
    where `complete`, as in a table, so is a field that a record lacks.
    """

    ids: tuple[str, ...]
    title: str = TITLE
    text: tuple[str, ...] = (TEXT,)
    exact: bool = False
    complete: bool = False

    def take_text(self, fields: dict[str, Any], *, optional: bool = False) -> str:
        """Remove the columns of text from `fields`; return their texts, joined by blank lines.

        Columns come in the order in which they were given; empty ones are left out.

        Raises:
            InputError: the record has none of them and they are not `optional`, or one is not text.
        """
        missing = not any(name in fields for name in self.text)
        if missing and self.text and not self.complete and not optional:
            raise InputError(f"no '{self.text[0]}'")
        return joined(text_of(name, fields.pop(name, None)) for name in self.text)

    def take_title(self, fields: dict[str, Any]) -> str:
        """Remove the title from `fields` and return it, on one line; "" if there is none."""
        return text_of(self.title, fields.pop(self.title, None)) if self.title else ""


def joined(texts: Iterable[str]) -> str:
    """Return texts with a blank line between them, without those that are blank."""
    several = list(texts)
    return several[0] if len(several) == 1 else "\n\n".join(t for t in several if t.strip())
