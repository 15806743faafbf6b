"""The application: its parts, put together."""

from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Lifespan
from vision_node_contract.clients.bucket import Bucket, BucketSettings
from vision_node_contract.clients.imagejobs import ImageJobClient

from . import ui
from .routes import inbox, jobs, limits, probes
from .services.health import DependencyChecks, Health
from .services.inbox import Inbox
from .services.jobs import Jobs
from .services.metrics import Metrics, StateCollector
from .settings import Settings
from .watch.describer_cache import Describers
from .watch.follower import Following, HeardKube
from .watch.imagejob_cache import JobCache
from .watch.status_cache import Polls
from .web.expect_continue import ExpectContinue
from .web.http_settings import HttpSettings
from .web.internal_errors import InternalErrors
from .web.middleware import put_in_front
from .web.problems import Problem, on_problem


def create(settings: Settings, http: HttpSettings, store_settings: BucketSettings) -> ASGIApp:
    """Return the application; it connects when it starts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with Bucket.open(store_settings) as store, HeardKube.connect("api") as kube:
            imagejobs = ImageJobClient(kube, settings.namespace)
            cache = JobCache(imagejobs)
            describers = Describers(kube, settings.namespace)
            jobs = Jobs(imagejobs, cache, describers, store, settings)
            checks = DependencyChecks(jobs.storage, store.check, imagejobs.check)
            watches = (
                Following(kube, imagejobs.path, cache.observe),
                Following(kube, describers.path, describers.observe),
            )
            attach(app, jobs, Health(checks, watches), kube.heard)
            with ExitStack() as running:
                for task in (checks, *watches):
                    running.enter_context(task.running())
                yield

    app = assemble(lifespan)

    return put_in_front(app, http, app.state.metrics)


def assemble(lifespan: Lifespan[FastAPI] | None = None) -> FastAPI:
    """Return the application without its connections, which `lifespan` attaches."""
    # /docs without a content delivery network: clusters often have no way out.
    app = FastAPIOffline(
        title="vision-node",
        summary="Images in, descriptions out. Submit an image, follow its job, read its result.",
        version=version("vision-node-api"),
        lifespan=lifespan,
        redoc_url=None,
        # Relative to /docs, which may be below a proxy's path.
        favicon_url="ui/icon.svg",
    )
    app.state.metrics = Metrics()
    for kind in (Problem, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, on_problem)

    app.add_middleware(Polls, known=jobs.known_status)
    app.include_router(jobs.router)
    app.include_router(inbox.router)
    app.include_router(limits.router)
    app.include_router(probes.router)
    app.include_router(ui.router)
    app.add_middleware(ExpectContinue)
    # Last, so that it is around all other middleware of the application and answers what fails
    # there, too.
    app.add_middleware(InternalErrors)

    return app


def attach(app: FastAPI, jobs: Jobs, health: Health, heard: Mapping[str, float]) -> None:
    """Give the application what it answers with.

    Args:
        app: As assembled.
        jobs: The jobs of its users.
        health: What probes and Prometheus want to know.
        heard: When each watch was last heard of, in seconds of monotonic time by path.
    """
    app.state.jobs = jobs
    app.state.inbox = Inbox(jobs)
    app.state.health = health
    metrics: Metrics = app.state.metrics
    metrics.registry.register(StateCollector(health, lambda: jobs.cache.unfinished, heard))
    held = "Memory that uploads hold which are being received or stored."
    metrics.add_gauge("vision_node_upload_bytes", held, lambda: jobs.uploads.held_bytes)
