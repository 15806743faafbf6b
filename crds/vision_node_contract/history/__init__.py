"""The history in PostgreSQL: rows of finished images, which the archiver writes and the API reads."""
