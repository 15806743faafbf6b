"""What a client needs for a route."""

from typing import Literal

from .access import Scope

PUBLIC: Literal["public"] = "public"
"""The route is for everyone, also for clients without a key."""

ANY: Literal["any"] = "any"
"""The route is for each client that says who it is, whatever its scopes are."""

Required = Literal["public", "any"] | Scope
