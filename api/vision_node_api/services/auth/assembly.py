"""Put together what finds out who sends a request, as the settings say."""

from vision_node_contract.clients.kube import Kube

from ...settings import Settings
from ...watch.follower import WatchFollower
from .authentication import Authentication
from .key_store import KeyStore
from .keys_secret import KeysSecret
from .kubernetes_identities import KubernetesIdentities
from .kubernetes_reviews import KubernetesReviews
from .sessions import Sessions


def authentication_of(settings: Settings, kube: Kube) -> Authentication | None:
    """Return what finds out who sends a request; None if anyone may use the API."""
    auth = settings.auth
    if auth is None:
        return None

    keys = KeyStore(KeysSecret(kube, settings.namespace, auth.keys_secret))
    users = None
    if auth.audience is not None:
        users = KubernetesIdentities(KubernetesReviews(kube, settings.namespace, auth.audience))

    return Authentication(keys, users, Sessions(keys, users, auth.session_seconds))


def keys_follower(kube: Kube, authentication: Authentication | None) -> WatchFollower | None:
    """Return the task that follows changes of the API keys; None if there are none."""
    if authentication is None:
        return None

    keys = authentication.keys
    return WatchFollower(kube, keys.secret.list_path, keys.observe, keys.selectors)
