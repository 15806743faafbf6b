"""What concerns every request, whichever route it is for."""

from starlette.types import ASGIApp

from ..services.metrics import Metrics
from .cors import allow_origins
from .http_settings import HttpSettings
from .internal_errors import InternalErrors
from .methods import HeadAndOptions
from .proxies import ProxyHeaders
from .redirects import PathOnlyRedirects
from .request_metrics import RequestMetrics


def put_in_front(app: ASGIApp, settings: HttpSettings, metrics: Metrics) -> ASGIApp:
    """Return `app` with everything around it that concerns every request.

    It is around the whole application, and not among its own middleware, so that answers to
    unforeseen errors go through it, too: a page of another origin could not read them otherwise.
    """
    app = RequestMetrics(app, metrics)
    app = HeadAndOptions(app)
    app = PathOnlyRedirects(app)
    if settings.cors_origins:
        app = allow_origins(app, settings.cors_origins)

    if settings.root_path or settings.trusted_proxies:
        app = ProxyHeaders(app, settings.trusted_proxies, settings.root_path)

    # The application has one of its own inside; this one answers what fails here, in front of it.
    return InternalErrors(app)
