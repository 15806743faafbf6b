"""The OpenAPI document: what FastAPI derives from the routes, completed.

A new route needs an example in `examples` and its reasons in `route_reasons`, and each parameter a
description. Tests name what is missing.
"""

from .document import complete_openapi, operation_id

__all__ = ["complete_openapi", "operation_id"]
