"""Add the middleware that wraps the whole application."""

from collections.abc import Callable

from starlette.types import ASGIApp

from ..services.metrics import Metrics
from ..web.http_settings import HttpSettings
from .cors import add_cors
from .head_and_options import HeadAndOptionsMiddleware
from .internal_errors import InternalErrorMiddleware
from .proxy_headers import ProxyHeadersMiddleware
from .redirects import RelativeRedirectMiddleware
from .request_metrics import RequestMetricsMiddleware


def add_middleware(
    app: ASGIApp,
    settings: HttpSettings,
    metrics: Metrics,
    authenticating: Callable[[ASGIApp], ASGIApp] | None = None,
) -> ASGIApp:
    """Return `app` wrapped in the middleware for every request.

    The middleware wraps the whole application instead of being added to FastAPI's middleware.
    Responses to unexpected errors therefore pass through it, too. Otherwise, pages from other
    origins could not read these responses.

    Args:
        app: The application.
        settings: The HTTP settings.
        metrics: Where requests are counted.
        authenticating: Function that wraps an application in middleware that authenticates clients;
            None if anyone may use the API.
    """
    app = RequestMetricsMiddleware(app, metrics)
    app = HeadAndOptionsMiddleware(app)
    app = RelativeRedirectMiddleware(app)

    # Outside of what costs more than a refusal; inside of CORS, so that pages can read a refusal,
    # and of the proxies' headers, so that clients behind a proxy have addresses of their own.
    if authenticating:
        app = authenticating(app)

    if settings.cors_origins:
        app = add_cors(app, settings.cors_origins)

    if settings.root_path or settings.trusted_proxies:
        app = ProxyHeadersMiddleware(app, settings.trusted_proxies, settings.root_path)

    # The application has its own InternalErrorMiddleware. This additional one handles errors in the
    # middleware above.
    return InternalErrorMiddleware(app)
