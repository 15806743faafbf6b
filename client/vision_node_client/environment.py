"""The names of the environment variables that the client reads."""

KEY_VARIABLE = "VISION_NODE_API_KEY"
"""Environment variable with the API key of clients that are given none."""

URL_VARIABLE = "VISION_NODE_URL"
"""Environment variable with the URL of the server, for the command."""
