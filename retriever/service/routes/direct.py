"""Routes with a JSON body, answered without the dependencies of FastAPI when nothing is wrong."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from pydantic import ValidationError

JSON = "application/json"


class DirectRoute(APIRoute):
    """A route of a function of `body`, a model of pydantic, and `library`, of the address.

    A body is validated as it is parsed; FastAPI parses it first, and resolves what a function
    depends on. A request with any mistake is left to FastAPI, whose errors name it.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the function that answers a request."""
        ordinary, endpoint = super().get_route_handler(), self.endpoint
        model: Any = self.dependant.body_params[0].field_info.annotation

        async def direct(request: Request) -> Response:
            mistaken = request.query_params.keys() - {"library"}
            if mistaken or request.headers.get("content-type") != JSON:
                return await ordinary(request)
            try:
                body = model.model_validate_json(await request.body())
            except ValidationError:
                return await ordinary(request)
            response: Response = await endpoint(body, request.query_params.get("library"))
            return response

        return direct
