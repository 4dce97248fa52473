"""The addresses of the service, one module a topic, each with a router over the state."""

from __future__ import annotations

from fastapi import APIRouter

from retriever.service.routes import compare, documents, embeddings, indexes, operation, search
from retriever.service.state import ServiceState

TOPICS = (search, compare, documents, indexes, embeddings, operation)


def routers(state: ServiceState) -> list[APIRouter]:
    """Return the routers of all topics."""
    return [topic.router(state) for topic in TOPICS]
