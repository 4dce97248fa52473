"""Names under which ids, titles and texts are commonly found in tables of others."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

TITLE, TEXT = "title", "text"

# In the order of preference; normalized by `normal`.
TEXT_NAMES = (
    "text",
    "body",
    "description",
    "content",
    "contents",
    "abstract",
    "full_text",
    "body_text",
    "long_description",
    "product_description",
    "desc",
    "passage",
    "document",
    "article",
    "message",
    "comment",
    "review",
    "review_text",
    "answer",
    "details",
    "notes",
    "note",
    "summary",
    "short_description",
)
TITLE_NAMES = (
    "title",
    "name",
    "subject",
    "headline",
    "heading",
    "product_name",
    "product_title",
    "item_name",
    "display_name",
    "caption",
    "question",
    "label",
)
ID_NAMES = (
    "id",
    "doc_id",
    "docid",
    "document_id",
    "docno",
    "doc_no",
    "identifier",
    "sku",
    "ticket_id",
    "product_id",
    "item_id",
    "article_id",
    "record_id",
    "post_id",
    "issue_id",
    "case_id",
    "message_id",
    "question_id",
    "paper_id",
    "review_id",
    "asin",
    "ean",
    "gtin",
    "isbn",
    "doi",
    "pmid",
    "key",
    "uuid",
    "guid",
    "url",
    "uri",
    "link",
    "permalink",
    "slug",
    "path",
    "filename",
    "file_name",
)
QUERY_ID_NAMES = ("query_id", "qid", "number", "num", "topic_id", "topic", *ID_NAMES)
QUERY_TEXT_NAMES = ("query", "question", "query_text", "search_term", "title", *TEXT_NAMES)


@dataclass(frozen=True)
class Roles:
    """The names of what a reader looks for: `ids` and `text` as they are, the others to guess."""

    ids: tuple[str, ...]
    id_names: tuple[str, ...]
    title_names: tuple[str, ...]
    text_names: tuple[str, ...]
    # Whose ids and texts these are, how an id is made, and how the user says otherwise.
    made_from: str
    options: str
    # The column of images that may be there instead of texts.
    image: str = ""

    @property
    def known(self) -> frozenset[str]:
        """All names, normalized."""
        return frozenset((*self.ids, *self.id_names, *self.title_names, *self.text_names))


def normal(name: str) -> str:
    """Return a column name in lower case with underscores: `ticketId` and `Ticket ID` are equal."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())
    return re.sub(r"[\s\-./]+", "_", parted).casefold().strip("_")


def in_order(columns: Iterable[str], names: Iterable[str]) -> list[str]:
    """Return the columns with one of `names`, the most preferred first."""
    by_name: dict[str, list[str]] = {}
    for column in columns:
        by_name.setdefault(normal(column), []).append(column)
    return [column for name in names for column in by_name.get(name, [])]
