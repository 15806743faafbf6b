"""A fair competitor with the classic design: FastAPI, SQLite, Redis, Celery and our describers.

The setup is simple but efficient. Images are files on the local disk. SQLite uses a write-ahead log
and its default, durable commits, so that acknowledged submissions survive a crash, as they do in
vision-node. Redis never writes to disk. The API answers status polls in the event loop, without a
thread.
"""
