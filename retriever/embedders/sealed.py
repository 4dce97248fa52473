"""Fitted parameters as bytes with a header and a checksum, so that damage is noticed."""

from __future__ import annotations

import hashlib

from indexes.errors import DamageError

DIGEST = 32


def seal(head: bytes, payload: bytes) -> bytes:
    """Return a payload after `head`, its name and version, and its SHA-256."""
    return head + hashlib.sha256(payload).digest() + payload


def unseal(head: bytes, kept: bytes) -> bytes:
    """Return the payload of what `seal` made with the same head, or raise a `DamageError`."""
    payload = kept[len(head) + DIGEST :]
    if kept != seal(head, payload):
        raise DamageError(
            "The stored fit is damaged, or was written by another version. "
            "Build the index with --refit (refit=True)."
        )
    return payload
