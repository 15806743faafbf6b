"""The history in PostgreSQL: rows of finished images. The archiver writes and the API reads it."""
