"""Ask the API server who has a token, and what that user may do in the release's namespace."""

import asyncio
from collections.abc import Mapping
from typing import Any

from vision_node_contract.clients.kube import Kube
from vision_node_contract.json_types import Json
from vision_node_contract.names import GROUP, PLURAL

from ...web.access import Scope
from .identity import KubernetesUser

TOKEN_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"  # noqa: S105 (a path)

VERBS: dict[str, frozenset[Scope]] = {
    "create": frozenset({"submit"}),
    "get": frozenset({"read"}),
    "*": frozenset({"submit", "read", "admin"}),
}
"""What a user may do who may do this with ImageJobs."""


class KubernetesReviews:
    """TokenReviews and LocalSubjectAccessReviews.

    Args:
        kube: Client for the API server.
        namespace: The release's namespace.
        audience: Audience for which tokens must have been issued, so that a token that was sent to
            another service can't be used here.
    """

    def __init__(self, kube: Kube, namespace: str, audience: str) -> None:
        self.audience = audience
        self._kube = kube
        self._namespace = namespace
        self._path = (
            f"/apis/authorization.k8s.io/v1/namespaces/{namespace}/localsubjectaccessreviews"
        )

    async def user_of(self, token: str) -> KubernetesUser | None:
        """Return the user who has a token; None if it is not valid.

        Raises:
            KubeError: the API server did not respond, or refused the request.
        """
        body = {"spec": {"token": token, "audiences": [self.audience]}}
        answer = await self._kube.request("POST", TOKEN_REVIEWS, body=body)

        match answer.get("status"):
            # An API server that knows no audiences accepts tokens for itself, and lists none.
            case {
                "authenticated": True,
                "audiences": list(audiences),
                "user": {"username": str(name)} as user,
            } if name and self.audience in audiences:
                return _user(name, user)
            case _:
                return None

    async def scopes_of(self, user: KubernetesUser) -> frozenset[Scope]:
        """Return what a user may do.

        Raises:
            KubeError: the API server did not respond, or refused the request.
        """
        allowed = await asyncio.gather(*(self._is_allowed(user, verb) for verb in VERBS))
        answers = zip(VERBS.values(), allowed, strict=True)
        return frozenset[Scope]().union(*(scopes for scopes, is_allowed in answers if is_allowed))

    async def _is_allowed(self, user: KubernetesUser, verb: str) -> bool:
        resource = {
            "namespace": self._namespace,
            "verb": verb,
            "group": GROUP,
            "resource": PLURAL,
        }
        spec: Json = {"resourceAttributes": resource, "user": user.name, "uid": user.uid}
        spec |= {"groups": [*user.groups], "extra": {key: [*it] for key, it in user.extra}}
        body = {"metadata": {"namespace": self._namespace}, "spec": spec}
        answer = await self._kube.request("POST", self._path, body=body)

        match answer.get("status"):
            case {"allowed": True}:
                return True
            case _:
                return False


def _user(name: str, user: Mapping[str, Any]) -> KubernetesUser:
    extra = user.get("extra") or {}
    return KubernetesUser(
        name,
        tuple(map(str, user.get("groups") or ())),
        str(user.get("uid") or ""),
        tuple((str(key), tuple(map(str, values or ()))) for key, values in sorted(extra.items())),
    )
