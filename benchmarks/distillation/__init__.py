"""Distillation measured: its collections, a teacher that remembers, and changes of the recipe."""
