"""The page of the service: search side by side, maps, senses of words, judging.

HTML is made here, from templates; scripts add typing on, keys and hovering to what works without
them. Nothing is loaded from elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute

from indexes.errors import RefusedError, RetrieverError
from retriever.service.page.document_view import add_document
from retriever.service.page.judging_view import add_judging
from retriever.service.page.libraries import Libraries, error_page
from retriever.service.page.map_view import add_map
from retriever.service.page.rendering import ASSETS, asset_response
from retriever.service.page.search_view import add_search
from retriever.service.page.start_view import add_start
from retriever.service.page.word_view import add_word
from retriever.service.state import ServiceState

PARTS = (add_start, add_search, add_document, add_word, add_map, add_judging)


def page_router(state: ServiceState) -> APIRouter:
    """Return the routes of all pages; their errors are pages, too."""
    router = APIRouter(route_class=_route_of(state))
    libraries = Libraries(state)
    for add in PARTS:
        add(router, libraries)

    @router.get("/page/assets/{name}", include_in_schema=False)
    async def assets(name: str) -> Response:
        if name not in ASSETS:
            raise RefusedError(404, "There is no file at this address.")
        return asset_response(name)

    @router.get("/page/{rest:path}", include_in_schema=False)
    async def nothing(rest: str) -> Response:
        raise RefusedError(404, "There is no page at this address.")

    return router


def _route_of(state: ServiceState) -> type[APIRoute]:
    """Return the class of routes whose errors are pages."""

    class PageRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def handle_or_say(request: Request) -> Response:
                try:
                    return await handle(request)
                except RetrieverError as error:
                    return error_page(error, state)

            return handle_or_say

    return PageRoute
