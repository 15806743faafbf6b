"""Applications for tests, which share what FastAPI derives from the routes."""

from functools import cache

from fastapi import FastAPI
from starlette.routing import BaseRoute, Route
from vision_node_api.app import build_app


def quick_app() -> FastAPI:
    """Return a new application without services, as build_app() does.

    FastAPI reads the signatures of all routes at the first request, which takes 100 ms of CPU time
    for each application. The included routers keep that, so all applications share them.
    """
    app = build_app()
    app.router.routes[:] = [
        own if isinstance(own, Route) else shared
        for own, shared in zip(app.router.routes, _shared_routes(), strict=True)
    ]
    return app


@cache
def _shared_routes() -> list[BaseRoute]:
    return build_app().router.routes
