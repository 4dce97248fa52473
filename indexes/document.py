"""Documents."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from indexes.checksums import text_checksum
from indexes.errors import InputError, described, short_repr
from indexes.images import Image, ImageSource
from indexes.values import plain


@dataclass(frozen=True)
class Document:
    """One document of a corpus.

    `doc_id` is unique in a collection. `metadata` holds anything that JSON can hold, into which
    `values.plain` converts dates, numbers of NumPy and the like. The text may be empty: such a
    document is stored and listed, but no embedding of texts can find it. `image` may be given as a
    path, bytes, an image of Pillow or an `Image`, which it becomes.

    Raises:
        InputError: a field has the wrong type, `doc_id` is empty, a text is not valid Unicode,
            `metadata` holds a value that JSON cannot hold, or the image's file cannot be read.
    """

    doc_id: str
    text: str = ""
    title: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    image: Image | None = None

    if TYPE_CHECKING:  # An image may be given in more forms than it is kept in.

        def __init__(
            self,
            doc_id: str,
            text: str = "",
            title: str = "",
            metadata: Mapping[str, Any] = ...,
            image: ImageSource | None = None,
        ) -> None: ...

    def __post_init__(self) -> None:
        for name in ("doc_id", "text", "title"):
            _check_text(name, getattr(self, name))
        if not self.doc_id.strip():
            raise InputError("'doc_id' is empty; every document needs an id")
        if "\0" in self.doc_id:
            # SQLite's JSON functions would end the id there.
            raise InputError("'doc_id' holds a NUL character; use another id")
        self._convert_metadata()
        if self.image is not None and not isinstance(self.image, Image):
            object.__setattr__(self, "image", Image.of(self.image))

    def _convert_metadata(self) -> None:
        try:
            self.metadata_json()
        except InputError:
            object.__setattr__(self, "metadata", plain(self.metadata))
            self.metadata_json()

    @classmethod
    def stored(
        cls, doc_id: str, text: str, title: str, metadata: str, image: Image | None = None
    ) -> Document:
        """Return a document from the catalog, `metadata` as JSON, without checking it again."""
        document = object.__new__(cls)
        fields = document.__dict__  # one by one: the fastest way around a frozen class
        fields["doc_id"] = doc_id
        fields["text"] = text
        fields["title"] = title
        fields["metadata"] = {} if metadata == "{}" else _DECODE(metadata, 0)[0]
        fields["image"] = image
        return document

    def metadata_json(self) -> str:
        """Return the metadata as JSON text, keys in the user's order."""
        if type(self.metadata) is dict and not self.metadata:
            return "{}"
        if not isinstance(self.metadata, Mapping):
            kind = type(self.metadata).__name__
            raise InputError(f"'metadata' is a {kind}; expected a mapping of names to values")
        try:
            _check_keys(self.metadata)
            return _to_json(dict(self.metadata))
        except _NOT_JSON:
            raise _bad_metadata(self.metadata) from None

    def content_checksum(self) -> bytes:
        """Return 16 bytes that change with the title or the text."""
        return self._checksum

    @cached_property
    def _checksum(self) -> bytes:
        # Cached: neither text can change. (The metadata may be a dict that does.)
        return text_checksum(self.title, self.text)


def copy_of(value: Any) -> Any:
    """Return a copy of what JSON can hold, as decoded; whoever gets it may change it."""
    if type(value) is dict:
        return {name: copy_of(part) for name, part in value.items()}
    return list(map(copy_of, value)) if type(value) is list else value


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise InputError(f"'{name}' is {described(value)}; expected text")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"'{name}' is not valid Unicode at character {error.start}") from None


# SQLite reads 1,000 levels of JSON, Python somewhat fewer, depending on who calls.
MOST_LEVELS = 500
# UnicodeEncodeError, from a lone surrogate, is a ValueError.
_NOT_JSON = (TypeError, ValueError, RecursionError)
_SCALARS = frozenset({str, int, float, bool, type(None)})
# For texts of this encoder, whose checksum was compared: in a third of the time of `json.loads`.
_DECODE: Callable[[str, int], tuple[Any, int]] = vars(json.JSONDecoder())["scan_once"]
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _check_keys(value: Any, level: int = 0) -> None:
    """Refuse keys that are not text, which JSON would convert and may merge, and deep nesting."""
    if type(value) in _SCALARS:  # `isinstance` of an abstract class takes longer than the rest
        return
    if level > MOST_LEVELS:
        raise RecursionError
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError
        for part in value.values():
            _check_keys(part, level + 1)
    elif isinstance(value, list | tuple):
        for part in value:
            _check_keys(part, level + 1)


def _to_json(value: Any) -> str:
    text = _ENCODER.encode(value)
    text.encode()
    return text


def _bad_metadata(metadata: Mapping[str, Any]) -> InputError:
    for key, value in metadata.items():
        if not isinstance(key, str):
            kind = type(key).__name__
            return InputError(f"metadata key {short_repr(key)} is {kind}; expected text")
        try:
            _check_keys(value, 1)
            _to_json(value)
        except RecursionError:
            return InputError(
                f"metadata '{key}' is nested more than {MOST_LEVELS} levels deep, which filters"
                " cannot read"
            )
        except _NOT_JSON:
            shown = f"{short_repr(value)} ({type(value).__name__})"
            return InputError(f"metadata '{key}' holds {shown}, which JSON cannot hold")
    return InputError("metadata holds a value that JSON cannot hold")
