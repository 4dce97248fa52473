"""Notes on an index or a collection: what is missing or lost, and the command that mends it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from indexes.catalog.records import IMPORTED
from indexes.errors import pluralize, shown
from indexes.store import Store
from retriever.advice import shell_command
from retriever.indexing.info import IndexInfo

# A refit is advised when the corpus has grown by more than this since the embedder was fitted.
GROWN = 4 / 3
# Under this recall@10, an index's structure is not what a user expects of a search.
LOW_RECALL = 0.9
# Recall is kept in thousandths.
HALF_PER_MILLE = 0.0005


def index_notes(info: IndexInfo, folder: Path, *, split: bool) -> list[str]:
    """Return warnings on an index; `split` says whether documents are split into passages."""
    notes = []
    if info.missing:
        imported = info.embedder.startswith(f"{IMPORTED}:")
        note = missing_note(folder, info.name, info.missing, info.stale, imported=imported)
        notes.append(note)
    if info.unfindable:
        noun = "passage" if split else "document"
        empty = pluralize(info.unfindable, f"{noun} has", f"{noun}s have")
        notes.append(f"'{info.name}': {empty} nothing that {info.model} can embed.")
    if info.only_images:
        which = pluralize(info.only_images, "document that has", "documents that have")
        notes.append(f"'{info.name}' is of texts: it has nothing of {which} an image and no text.")
    if info.text.truncated:
        # Texts, not documents: some may have been removed or changed since they were embedded.
        texts = pluralize(info.text.texts, "text")
        cut = pluralize(info.text.truncated, "was", "were")
        notes.append(
            f"'{info.name}': of {texts} embedded so far, {cut} cut off at {info.max_length} tokens."
        )
    return [*notes, *fitting_notes(info, folder)]


def fitting_notes(info: IndexInfo, folder: Path) -> Iterator[str]:
    """Yield a note if a refit is unfinished, or if the corpus has grown much since the fit."""
    refit = shell_command("build", folder, info.name, "--refit")
    if info.refitting:
        yield f"'{info.name}' is being refitted, or this was interrupted; resume with: {refit}"
    elif info.fitted_documents and info.documents > GROWN * info.fitted_documents:
        yield (
            f"'{info.name}' was fitted on {info.fitted_documents:,} of now "
            f"{info.documents:,} documents; refit with: {refit}"
        )


def recall_notes(
    folder: Path, index: str, factory: str, recall: float | None, asked: float | None = None
) -> Iterator[str]:
    """Yield a note if the structure of an index misses many neighbors, or more than was asked."""
    if recall is not None and asked is not None and recall < asked - HALF_PER_MILLE:
        exact = shell_command("build", folder, f"{index}-exact", "--vectors", index)
        auto = shell_command("build", folder, f"{index}-auto", "--vectors", index)
        yield (
            f"'{index}' finds {100 * recall:.1f} % of the 10 nearest of sample queries, not "
            f"{100 * asked:g} %: no search parameters of {factory} find more. Ask for less "
            f"({shell_command('tune', folder, index)} --recall {recall:.2f}), build the structure "
            f"that suits this recall ({auto} --ann auto --recall {asked:g}), or search exactly: "
            f"{exact} --ann exact"
        )
    elif recall is not None and recall < LOW_RECALL and asked is None:
        exact = shell_command("build", folder, f"{index}-exact", "--vectors", index)
        yield (
            f"'{index}' finds {100 * recall:.0f} % of the 10 nearest of sample queries: {factory} "
            "does not suit these vectors. Exact search over the same vectors finds all: "
            f"{exact} --ann exact (or choose another structure with --ann, such as HNSW32)"
        )


def lost_notes(store: Store) -> tuple[str, ...]:
    """Return a note if a collection answers as of an earlier commit, as a copy without its log."""
    if not store.has_lost_commits:
        return ()
    return (
        f"{shown(store.folder)}/ answers from an earlier state: later commits were made, and its "
        f"catalog lacks them. Run: {shell_command('verify', store.folder)}",
    )


def missing_note(
    folder: Path, index: str, missing: int, stale: int = 0, *, imported: bool = False
) -> str:
    """Return the note that `missing` documents are not in an index yet, with the command to run.

    Of these, `stale` ones were edited and answer by their earlier text. Of an index of `imported`
    vectors, somebody has to give theirs.
    """
    new, parts, place = missing - stale, [], shown(folder)
    if new:
        what = pluralize(new, f"document in {place}/ is", f"documents in {place}/ are")
        parts.append(f"{what} not in index '{index}' yet")
    if stale and new:
        what = pluralize(stale, "edited one answers by its", "edited ones answer by their")
        parts.append(f"{what} earlier text")
    elif stale:
        one = f"edited document in {place}/ answers by its"
        what = pluralize(stale, one, f"edited documents in {place}/ answer by their")
        parts.append(f"{what} earlier text in index '{index}'")
    given = ["--from-vectors", "FILE"] if imported else []
    return f"{'; '.join(parts)}. Run: {shell_command('build', folder, index, *given)}"
