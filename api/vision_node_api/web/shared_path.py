"""Routes that share a path, one for each method."""

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import Receive, Scope, Send


def share_paths(router: APIRouter) -> None:
    """Make a router's 405 responses list the methods of all its routes with the same path.

    Starlette lists only the methods of the first such route, but Allow has to list all of them (RFC
    9110, section 10.2.1). Routes that were added before this call are not changed.
    """

    class SharedPathRoute(APIRoute):
        """A route that knows the router's other routes with the same path."""

        async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
            """Handle the request, or refuse its method."""
            if scope["method"] not in (self.methods or ()):
                allowed = sorted(methods_of(router, self.path))
                raise HTTPException(405, headers={"Allow": ", ".join(allowed)})

            await super().handle(scope, receive, send)

    router.route_class = SharedPathRoute


def methods_of(router: APIRouter, path: str) -> set[str]:
    """Return the methods of the router's routes with that path."""
    routes = [route for route in router.routes if isinstance(route, Route) and route.path == path]
    return {method for route in routes for method in route.methods or ()}
