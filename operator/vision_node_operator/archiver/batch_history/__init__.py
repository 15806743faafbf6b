"""Archive the results of ImageBatches, evict finished ImageBatches, and delete their data.

Everything is done in one task, one step at a time, and each step can be repeated. So a process that
is killed between any two steps loses nothing, and two archivers do no harm. The row of a batch says
how far it is archived, so while PostgreSQL is away, no results are kept in memory.
"""
