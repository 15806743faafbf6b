"""Documents that are generated from the API: docs/errors.md and docs/openapi.json."""
