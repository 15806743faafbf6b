"""Where middleware stores who sent a request."""

IDENTITY = "vision_node.identity"
"""Key in the scope for the `Identity` of the client that sent the request. It is missing if clients
are not authenticated."""
