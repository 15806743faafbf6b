"""Assemble the application from its parts."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack, asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Lifespan
from vision_node_contract.clients.bucket import Bucket, BucketSettings
from vision_node_contract.clients.kube import Kube
from vision_node_contract.history.database import Database, Limits
from vision_node_contract.history.schema import schema_name
from vision_node_contract.listening import listen
from vision_node_contract.metrics import server as metrics_server

from . import ui
from .middleware.authentication import AuthenticationMiddleware
from .middleware.expect_continue import ExpectContinueMiddleware
from .middleware.internal_errors import InternalErrorMiddleware
from .middleware.rate_limit import RateLimitMiddleware
from .middleware.route_requirements import RouteRequirements
from .middleware.stack import add_middleware
from .middleware.status_cache import StatusCacheMiddleware
from .routes import (
    batch_results,
    batch_retry,
    batch_uploads,
    callback_actions,
    events,
    inbox,
    job_actions,
    job_export,
    job_images,
    job_list,
    jobs,
    keys,
    limits,
    probes,
    problems,
    session,
    usage,
)
from .routes import batches as batch_routes
from .routes import describers as describer_routes
from .routes.known_parameters import STRICT
from .routes.openapi import complete_openapi, operation_id
from .routes.openapi.texts import DESCRIPTION
from .routes.required_scopes import REQUIRED
from .services.acting.control import JobControl
from .services.acting.retry import JobRetry
from .services.acting.retry_failed import FailedRetry
from .services.auth.assembly import authentication_of, keys_follower
from .services.auth.authentication import Authentication
from .services.auth.refusals import Refusals
from .services.batches.batch_images import BatchImages
from .services.batches.batches import Batches
from .services.batches.control import BatchControl
from .services.batches.creation import BatchCreation
from .services.batches.retry import BatchRetry
from .services.following.following import Following
from .services.following.states import States
from .services.health import DependencyChecks, Health
from .services.history.batch_list import BatchList
from .services.history.history_check import HistoryCheck
from .services.history.job_export import JobExport
from .services.history.job_list import JobList
from .services.history.reader import HistoryReader
from .services.images.images import Images
from .services.images.stored_images import StoredImages
from .services.inbox import Inbox
from .services.jobs import Jobs
from .services.metrics import Metrics, StateCollector
from .services.ownership import OwnershipCheck
from .services.usage import UsageReports
from .settings import Settings
from .watch.batch_follower import BatchFollower
from .watch.change_log import ChangeLog
from .watch.describer_cache import DescriberCache
from .watch.follower import WatchFollower
from .watch.imagebatch_cache import ImageBatchCache
from .watch.imagejob_cache import ImageJobCache
from .watch.single_imagejobs import SINGLE, SingleImageJobs
from .web.http_settings import HttpSettings
from .web.problems import Problem, on_problem
from .web.rate_limit import RateLimiter
from .web.waiting import WaitLimit

CONNECTIONS = 4
"""Maximum number of connections to the database. A query takes about a millisecond, so they are
enough for thousands a second, and ten replicas together take less than half of PostgreSQL's 100."""


def create_app(settings: Settings, http: HttpSettings, bucket_settings: BucketSettings) -> ASGIApp:
    """Return the application, which connects to the bucket and to Kubernetes when it starts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as connected:
            bucket = await connected.enter_async_context(Bucket.open(bucket_settings))
            kube = await connected.enter_async_context(Kube.connect("api"))
            history = await connected.enter_async_context(opened_history(settings, bucket))
            imagejobs = SingleImageJobs(kube, settings.namespace)
            cache = ImageJobCache(imagejobs)
            describers = DescriberCache(kube, settings.namespace)
            jobs = Jobs(imagejobs, cache, describers, bucket, settings, history)

            checks = DependencyChecks(jobs.storage, bucket.check, imagejobs.check)
            watches = (
                WatchFollower(kube, imagejobs.path, cache.observe, SINGLE),
                WatchFollower(kube, describers.path, describers.observe),
            )
            ownership = OwnershipCheck(bucket, kube, settings)
            imagebatches = ImageBatchCache(kube, settings.namespace)
            follower = BatchFollower(kube, imagebatches.path, imagebatches.observe)
            batches = Batches(imagebatches, follower, bucket, jobs.storage, settings, history)

            authentication = authentication_of(settings, kube)
            keys_watch = keys_follower(kube, authentication)
            history_check = HistoryCheck(history) if history else None
            health = Health(
                checks,
                watches,
                ownership,
                follower,
                history_check,
                keys_watch,
                authentication.keys if authentication else None,
            )
            attach_services(app, jobs, batches, health, kube.last_activity)
            attach_authentication(app, authentication)

            with ExitStack() as running:
                for task in health.tasks:
                    running.enter_context(task.running())
                connected.push_async_callback(app.state.images.thumbnails.close)
                async with serving_metrics(app.state.metrics):
                    yield

    app = build_app(lifespan)
    wrap = authenticating(app) if settings.auth else None

    return add_middleware(app, http, app.state.metrics, wrap)


def authenticating(app: FastAPI) -> Callable[[ASGIApp], ASGIApp]:
    """Return a function that wraps the application in middleware that authenticates clients."""
    requirements = RouteRequirements(app, REQUIRED)
    refusals = app.state.refusals
    return lambda inner: AuthenticationMiddleware(inner, app.state, requirements, refusals)


@asynccontextmanager
async def opened_history(settings: Settings, bucket: Bucket) -> AsyncIterator[HistoryReader | None]:
    """Open the history; yield None if the release has no database, or no id."""
    release_id = bucket.folders.release_id
    if settings.database is None or not release_id:
        yield None
        return

    limits = Limits(connections=CONNECTIONS)
    async with Database.open(settings.database, schema_name(release_id), limits) as database:
        yield HistoryReader(database)


def serving_metrics(metrics: Metrics) -> AbstractAsyncContextManager[None]:
    """Serve the metrics on their own port while the block runs, so that clients can't read them."""
    sockets = listen(metrics_server.PORT, metrics_server.ADDRESS_VARIABLE)
    return metrics_server.serving(sockets, metrics.text)


def build_app(lifespan: Lifespan[FastAPI] | None = None) -> FastAPI:
    """Return the application without its services, which `lifespan` attaches."""
    # FastAPIOffline serves /docs without a CDN, because clusters often have no internet access.
    app = FastAPIOffline(
        title="vision-node",
        summary="Images in, descriptions out.",
        description=DESCRIPTION,
        version=version("vision-node-api"),
        lifespan=lifespan,
        redoc_url=None,
        # This URL is relative to /docs, which may be below a proxy's path.
        favicon_url="ui/icon.svg",
        generate_unique_id_function=operation_id,
        swagger_ui_parameters={"docExpansion": "list", "displayRequestDuration": True},
    )
    complete_openapi(app)
    app.state.authentication = None
    app.state.metrics = Metrics()
    app.state.refusals = Refusals(app.state.metrics.refused)
    app.state.waits = waits = WaitLimit()
    app.state.metrics.add_gauge(
        "vision_node_waiting_requests",
        "Requests that wait for a job or a batch, because their clients prefer it.",
        lambda: waits.waiting,
    )
    for kind in (Problem, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, on_problem)

    app.add_middleware(StatusCacheMiddleware, cached_status=jobs.cached_status)
    app.add_middleware(RateLimitMiddleware)
    for router in (
        *(jobs.router, describer_routes.router, job_list.router, job_images.router),
        *(
            job_actions.router,
            callback_actions.router,
            events.router,
            job_export.router,
            batch_uploads.router,
        ),
        *(batch_routes.router, batch_results.router, batch_retry.router, inbox.router),
        *(limits.router, usage.router, keys.router, session.router),
    ):
        app.include_router(router, **STRICT)
    # Browsers and probes add parameters to these, so that no cache answers.
    for router in (problems.router, probes.router, ui.router):
        app.include_router(router)

    app.add_middleware(ExpectContinueMiddleware)
    # This middleware is added last, so that it wraps all others and also handles their errors.
    app.add_middleware(InternalErrorMiddleware)

    return app


def attach_services(
    app: FastAPI, jobs: Jobs, batches: Batches, health: Health, last_activity: Mapping[str, float]
) -> None:
    """Give the application the services that its routes use.

    Args:
        app: The application that `build_app` returned.
        jobs: The service for ImageJobs.
        batches: The service for ImageBatches.
        health: Health of the replica, for probes and Prometheus.
        last_activity: Monotonic time, in seconds, of each watch's last event, by path.
    """
    app.state.jobs = jobs
    app.state.batches = batches
    creation = BatchCreation(jobs, batches, batches.cache.client)
    app.state.batch_creation = creation
    app.state.batch_images = images = BatchImages(batches)
    app.state.images = Images(StoredImages(jobs, images))
    app.state.batch_control = BatchControl(batches)
    app.state.batch_retry = BatchRetry(creation)
    app.state.batch_list = BatchList(batches.cache, batches.history)
    jobs.quotas.unfinished_batches = batches.cache.unfinished_of
    app.state.rate_limiter = RateLimiter(jobs.settings.owner_limits)
    app.state.usage = UsageReports(jobs)
    app.state.job_list = JobList(jobs.cache, jobs.history)
    app.state.job_control = JobControl(jobs, images)
    app.state.job_retry = retry = JobRetry(jobs, images)
    app.state.failed_retry = FailedRetry(retry, app.state.job_list)
    app.state.job_export = JobExport(app.state.job_list)
    app.state.inbox = Inbox(jobs, batches.cache, health.ownership)
    app.state.health = health
    app.state.following = following_of(jobs, batches, app.state.batch_images)

    metrics: Metrics = app.state.metrics
    collector = StateCollector(health, lambda: jobs.cache.unfinished, last_activity)
    metrics.registry.register(collector)
    metrics.add_gauge(
        "vision_node_upload_bytes",
        "Memory held by uploads that are being received or stored.",
        lambda: jobs.uploads.held_bytes,
    )
    metrics.add_gauge(
        "vision_node_followers",
        "Clients that follow jobs and batches by streams of events.",
        lambda: app.state.following.followers.count,
    )


def attach_authentication(app: FastAPI, authentication: Authentication | None) -> None:
    """Give the application what finds out who sends a request; None if anyone may use it."""
    app.state.authentication = authentication
    if authentication:
        app.state.metrics.add_gauge(
            "vision_node_api_keys",
            "API keys, expired ones included.",
            lambda: authentication.keys.count,
        )


def following_of(jobs: Jobs, batches: Batches, images: BatchImages) -> Following:
    """Return the service that sends each change that the caches report."""
    log = ChangeLog()
    jobs.cache.on_event = log.observer("job")
    batches.cache.on_event = log.observer("batch")
    return Following(log, States(jobs, batches, images, events.rendering(jobs)))
