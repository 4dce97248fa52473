"""Distillation of a contextual embedder into a table of token vectors, on a collection's texts."""

from __future__ import annotations

from retriever.training.distillation.distill import DistillReport, distill

__all__ = ["DistillReport", "distill"]
