"""The application: its parts, put together."""

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.types import Lifespan
from vision_node_contract.imagejobs import ImageJobs
from vision_node_contract.kube import Kube
from vision_node_contract.store import Store, StoreSettings

from . import routes, ui
from .cache import JobCache
from .describers import Describers
from .following import Following
from .jobs import Jobs
from .polls import Polls
from .problems import Problem, on_problem
from .settings import Settings


def create(settings: Settings, store_settings: StoreSettings) -> FastAPI:
    """Return the application; it connects when it starts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with Store.open(store_settings) as store, Kube.connect("api") as kube:
            imagejobs = ImageJobs(kube, settings.namespace)
            cache = JobCache(imagejobs)
            describers = Describers(kube, settings.namespace)
            app.state.jobs = Jobs(imagejobs, cache, describers, store, settings)
            app.state.followed = followed = (
                Following(kube, imagejobs.path, cache.observe),
                Following(kube, describers.path, describers.observe),
            )
            with ExitStack() as running:
                for following in followed:
                    running.enter_context(following.running())
                yield

    return assemble(lifespan)


def assemble(lifespan: Lifespan[FastAPI] | None = None) -> FastAPI:
    """Return the application without its connections, which `lifespan` puts into `app.state`."""
    # /docs without a content delivery network: clusters often have no way out.
    app = FastAPIOffline(
        title="vision-node",
        summary="Images in, descriptions out. Submit an image, follow its job, read its result.",
        version="0.1.0",
        lifespan=lifespan,
        redoc_url=None,
        favicon_url="/ui/icon.svg",
    )
    for kind in (Problem, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, on_problem)
    app.add_middleware(Polls, known=routes.known_status)
    app.include_router(routes.router)
    app.include_router(ui.router)
    return app
