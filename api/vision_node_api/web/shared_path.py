"""Support several routes with the same path, each for a different method."""

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import Receive, Scope, Send


def share_paths(router: APIRouter) -> None:
    """Make each 405 response list the methods of all the router's routes for the requested path.

    Starlette lists only the methods of the first such route, but the Allow header has to list the
    methods of all of them (RFC 9110, section 10.2.1). Routes that are already in the router do not
    change.
    """

    class SharedPathRoute(APIRoute):
        """A route whose 405 response includes the methods of other routes with the same path."""

        async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
            """Handle the request, or refuse it if the route does not support its method."""
            if scope["method"] not in (self.methods or ()):
                allowed = sorted(methods_of(router, self.path))
                raise HTTPException(405, headers={"Allow": ", ".join(allowed)})

            await super().handle(scope, receive, send)

    router.route_class = SharedPathRoute


def methods_of(router: APIRouter, path: str) -> set[str]:
    """Return the methods of all routes of the router that have this path."""
    routes = [route for route in router.routes if isinstance(route, Route) and route.path == path]
    return {method for route in routes for method in route.methods or ()}
