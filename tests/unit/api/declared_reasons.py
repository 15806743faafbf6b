"""Find out whether the description of a route has the reason with which it answers."""

from collections.abc import Iterator

from starlette.types import Scope
from vision_node_api.routes.openapi.route_reasons import ANY_REQUEST, REASONS
from vision_node_api.web.problems import Problem

TABLE = "api/vision_node_api/routes/openapi/route_reasons.py"


def undeclared(scope: Scope, problem: Problem) -> Iterator[str]:
    """Yield the problem as text if the table lacks its reason for the route of the request.

    Args:
        scope: The ASGI scope of the request, after it was routed.
        problem: The answer.
    """
    operation = getattr(scope.get("route"), "name", None)
    if operation not in REASONS:
        return

    tables = (REASONS[operation], ANY_REQUEST)
    if not any(problem.reason in table.get(problem.status, ()) for table in tables):
        yield f"{operation} {problem.status} {problem.reason}"
