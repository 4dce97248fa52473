"""Distilling: a contextual embedding's knowledge of a corpus put into a table of token vectors."""

from __future__ import annotations

from retriever.training.distillation.distill import DistillReport, distill

__all__ = ["DistillReport", "distill"]
