"""The classic design, as a fair competitor: FastAPI, SQLite, Redis, Celery, and our describers.

The setup is good but simple. Images are files on the local disk. SQLite uses a write-ahead log and
its default, durable commits, so an acknowledged submission survives a crash, as in vision-node.
Redis never writes to disk. Status polls are answered in the event loop, not in a thread.
"""
