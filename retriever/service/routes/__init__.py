"""The addresses of the service, one module a topic, each with a router over the state."""

from __future__ import annotations

from fastapi import APIRouter

from retriever.service.routes import compare, documents, embeddings, indexes, search
from retriever.service.state import ServiceState

TOPICS = (search, compare, documents, indexes, embeddings)


def routers(state: ServiceState) -> list[APIRouter]:
    """Return the routers of what concerns collections."""
    return [topic.router(state) for topic in TOPICS]
