"""The addresses of the service, one module a topic, each with a router over the state."""

from __future__ import annotations

from fastapi import APIRouter, Depends

from retriever.service.routes import compare, documents, embeddings, indexes, search
from retriever.service.routes.fields import check_parameters
from retriever.service.state import ServiceState

TOPICS = (search, compare, documents, indexes, embeddings)


def routers(state: ServiceState) -> list[APIRouter]:
    """Return the routers of what concerns collections; these refuse unknown parameters."""
    found = []
    for topic in TOPICS:
        found.append(APIRouter(dependencies=[Depends(check_parameters)]))
        found[-1].include_router(topic.router(state))
    return found
