"""Documents that are generated from the API: docs/errors.md, docs/openapi.json and a table."""
