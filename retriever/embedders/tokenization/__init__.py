"""Texts into words and subword tokens, a whole batch at a time."""
