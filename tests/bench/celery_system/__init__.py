"""The classic design, small and fair: FastAPI, SQLite, Redis, Celery, and our describers.

Well set up and no more: images as files on the local disk, SQLite with a write-ahead log and
durable commits, its own default (a submit that was answered survives a crash, as it does here), a
Redis that never writes to disk, status polls answered in the event loop and not in a thread.
"""
