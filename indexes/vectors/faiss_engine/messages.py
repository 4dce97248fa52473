"""FAISS's error messages for people."""

from __future__ import annotations

import re


def reason(error: BaseException) -> str:
    """Return FAISS's message without the C++ function and file in front of it."""
    text = str(error).strip() or type(error).__name__
    text = re.sub(r"^Error in .*? at .*?:\d+: ", "", text, flags=re.DOTALL)
    text = re.sub(r"^Error: '.*?' failed:? ?", "", text, flags=re.DOTALL) or text
    return " ".join(text.split()).rstrip(".")
