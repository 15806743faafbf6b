"""The history in PostgreSQL, as the archiver writes it."""
