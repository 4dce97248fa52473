"""Find the columns of id, title and text: as given, by well-known names, or else by content."""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from indexes.errors import FileFormatError, FileNote, first_of
from indexes.values import plain
from retriever.formats.columns.check import check_columns
from retriever.formats.columns.layout import Columns, Layout
from retriever.formats.columns.names import TEXT, TITLE, Roles, in_order

# Records that are looked at.
SAMPLE = 200
# Fewer may differ by chance.
FEWEST = 8
LONGEST_ID = 64
# A column of texts of this share of the longest ones may be meant, too.
NEARLY_AS_LONG = 0.5

Sample = Sequence[Mapping[str, Any]]


def find_layout(
    name: str,
    wanted: Columns,
    roles: Roles,
    columns: Sequence[str] | None,
    sample: Sample,
    image: str | None = None,
) -> Layout:
    """Return which columns of `name` hold what; a `FileNote` says what was guessed.

    `columns` are those of the header, None where each record names its own fields. `sample` holds
    the first records. What is not given is found under the names of the roles, `title` and `text`;
    only where these have no id or no text, well-known names decide, and where they do not, the
    content: the longest texts are the text, and short values that all differ the id. Without such
    a column ids are made. `image` names the column of images, with which a text is not needed.

    Raises:
        FileFormatError: a given column does not exist, or no column can be the text.
    """
    names = list(columns if columns is not None else field_names(sample))
    # Each object may have fields of its own, and a file without objects has none.
    if names:
        check_columns(name, names, [(one,) for one in wanted.given])
    if columns is not None and image:
        check_columns(name, names, [(image,)])
    image = image or (roles.image if roles.image in names else None)
    ids = (wanted.id,) if wanted.id else tuple(one for one in roles.ids if one in names)
    text = wanted.text or ((TEXT,) if TEXT in names else ())
    complete = columns is not None
    if not names or (not wanted.given and ids and (text or image)):
        return Layout(roles.ids, exact=True, complete=complete)
    guess = _Guess(names, sample, roles, taken={*wanted.given, *filter(None, [image])})
    titled = roles.title_names and TITLE in names and TITLE not in guess.taken
    title = wanted.title or (TITLE if titled else "")
    if ids and (text or image):
        return Layout(ids, title or _spare(ids, text), text or (TEXT,), complete=complete)
    guess.taken |= {*ids, *text, *filter(None, [title])}
    ids = ids or guess.id_by_name()
    text = text or guess.text_by_name()
    title = title or guess.title()
    if not text and not image:
        text = guess.text_by_content()
        if not text and title and not wanted.title:
            text, title = (title,), ""
    if not text and not image:
        if columns is None and not wanted.given:
            return Layout(roles.ids, exact=True)  # each record is refused with its own reason
        advice = f"Name one with {roles.options.split(', ')[-1]}."
        has = f"It has: {', '.join(names)}."
        raise FileFormatError(f"{name} has no column of texts. {has} {advice}")
    ids = ids or guess.id_by_content()
    layout = Layout(ids, title or _spare(ids, text), text, complete=complete)
    if sample:
        warnings.warn(f"{name}: {guess.said(layout)}", FileNote, stacklevel=1)
    return layout


def _spare(ids: Sequence[str], text: Sequence[str]) -> str:
    """Return the name of a title in later records, if it is not that of something else."""
    return "" if TITLE in (*ids, *text) else TITLE


def field_names(sample: Sample) -> dict[str, None]:
    """Return the names of the fields of some records, in their order."""
    return {key: None for record in sample for key in record if isinstance(key, str)}


@dataclass
class _Guess:
    """Columns that are free for a role, and what else could have been meant."""

    names: Sequence[str]
    sample: Sample
    roles: Roles
    taken: set[str]
    others: dict[str, list[str]] = field(default_factory=dict)
    repeating: list[str] = field(default_factory=list)

    def id_by_name(self) -> tuple[str, ...]:
        """Return the column with the best name of those whose values differ."""
        named = in_order(self._free(), self.roles.id_names)
        ends = [
            one
            for one in self._free()
            if re.search(r"(?i)(_| )(id|no|key|number)$|[a-z]I[dD]$", one)
        ]
        found = list(dict.fromkeys((*named, *ends)))
        good = [one for one in found if _differ(self._values(one), len(self.sample))]
        self.repeating = [one for one in named if one not in good]
        return self._take("id", good)

    def text_by_name(self) -> tuple[str, ...]:
        """Return the column with the best name of those that hold texts."""
        named = in_order(self._free(), self.roles.text_names)
        return self._take("text", [one for one in named if self._length(one) or not self.sample])

    def title(self) -> str:
        """Return the column with the best name for a title; "" if there is none."""
        named = in_order(self._free(), self.roles.title_names)
        return next(iter(self._take("title", named)), "")

    def text_by_content(self) -> tuple[str, ...]:
        """Return the column with the longest texts."""
        free = [one for one in self._free() if self._length(one)]
        free.sort(key=self._length, reverse=True)
        near = [one for one in free if self._length(one) >= NEARLY_AS_LONG * self._length(free[0])]
        return self._take("text", near)

    def id_by_content(self) -> tuple[str, ...]:
        """Return the first column whose values look like ids and all differ."""
        if len(self.sample) < FEWEST:
            return ()
        return self._take(
            "id", [one for one in self._free() if _are_ids(self._values(one), len(self.sample))]
        )

    def said(self, layout: Layout) -> str:
        """Return the sentence that says how the columns are read."""
        parts = [f"{shown(layout.ids[0])} as the id"] if layout.ids else []
        parts += [f"{shown(layout.title)} as the title"] if layout.title in self.names else []
        parts += [f"{' and '.join(map(shown, layout.text))} as the text"] if layout.text else []
        made = "" if layout.ids else f", and made ids {self.roles.made_from}"
        said = f"read {', '.join(parts)}{made}; say otherwise with {self.roles.options}."
        for role, others in self.others.items():
            article = "an" if role == "id" else "a"
            said += f" {first_of(others, 3, shown)} could be {article} {role}, too."
        if self.repeating and not layout.ids:
            said += f" {first_of(self.repeating, 3, shown)} is no id: values repeat or are missing."
        return said

    def _free(self) -> list[str]:
        return [name for name in self.names if name not in self.taken]

    def _take(self, role: str, found: Sequence[str]) -> tuple[str, ...]:
        if not found:
            return ()
        self.taken.add(found[0])
        if found[1:]:
            self.others[role] = list(found[1:])
        return (found[0],)

    def _values(self, name: str) -> list[Any]:
        values = [plain(record.get(name)) for record in self.sample]
        return [value for value in values if value is not None and value != ""]

    def _length(self, name: str) -> float:
        """Return the mean length of the texts of a column; 0 if most values are not words."""
        texts = [value for value in self._values(name) if isinstance(value, str)]
        words = [text for text in texts if re.search(r"[^\W\d_]", text) and not _DATE.match(text)]
        if not texts or 2 * len(words) < len(self._values(name)):
            return 0
        return sum(map(len, texts)) / len(texts)


_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]|$)")


def _differ(values: Sequence[Any], count: int) -> bool:
    """Return whether all of `count` records have a value, and no two the same one."""
    if len(values) < count or not all(isinstance(one, str | int | float) for one in values):
        return False
    if any(isinstance(one, float) and not one.is_integer() for one in values):
        return False
    return len({str(one) for one in values}) == count


def _are_ids(values: Sequence[Any], count: int) -> bool:
    """Return whether all values differ and are short words, or numbers that increase.

    Other numbers, such as prices, may differ by chance.
    """
    if not _differ(values, count):
        return False
    texts = [str(one).strip() for one in values]
    if all(re.fullmatch(r"[0-9]{1,18}", text) for text in texts):
        return all(int(a) < int(b) for a, b in itertools.pairwise(texts))
    return all(
        isinstance(one, str)
        and len(text) <= LONGEST_ID
        and text.split() == [text]
        and not re.fullmatch(r"[-+0-9.,:/TZ]*", text)
        for one, text in zip(values, texts, strict=True)
    )


def shown(name: str) -> str:
    """Return a column name as it is, in quotes where it is more than a word."""
    return name if name.isidentifier() else f"'{name}'"
