"""The application: routes, checks and error handling around the state of a process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI
from starlette.middleware.cors import CORSMiddleware

from retriever import __version__
from retriever.service.metrics import Observed
from retriever.service.page import page_router
from retriever.service.problems import DESCRIPTION, handle_problems
from retriever.service.routes import operation, routers
from retriever.service.routes.fields import check_parameters
from retriever.service.security import Guarded
from retriever.service.settings import ServiceSettings
from retriever.service.state import ServiceState

ABOUT = (
    "Search, documents, comparison of a query and embeddings of collections made by Retriever. "
    "Where several collections are served, every address takes `?library=NAME`. Errors are "
    "`application/problem+json`."
)


def create_app(settings: ServiceSettings, *, alone: bool = False) -> FastAPI:
    """Return the application of a service, to be run by any ASGI server.

    Nothing is opened before it starts, so that it may be made in one process and run in others. Its
    state is `app.state.service`; for `alone` see there.
    """
    state = ServiceState(settings, alone=alone)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(state.open)
        try:
            yield
        finally:
            await asyncio.to_thread(state.close)

    # The pages of FastAPI that show the description load scripts from elsewhere.
    app = FastAPI(
        title="Retriever",
        version=__version__,
        description=ABOUT,
        docs_url=None,
        redoc_url=None,
        responses=DESCRIPTION,
        lifespan=lifespan,
    )
    app.state.service = state
    handle_problems(app, state.folders)
    for router in routers(state):
        app.include_router(router, dependencies=[Depends(check_parameters)])
    # What watches a service, and the page, may add parameters.
    for router in (operation.router(state), page_router(state)):
        app.include_router(router)
    # The last one added is the first to see a request.
    app.add_middleware(Guarded, settings=settings)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=("GET", "POST", "DELETE"),
            allow_headers=("Authorization", "Content-Type"),
        )
    app.add_middleware(Observed, metrics=state.metrics, access_log=settings.access_log)
    return app
