"""Keep the results of ImageBatches in PostgreSQL, evict finished ImageBatches, and delete data.

Everything is done in one task, one step at a time, and each step can be repeated: a process that is
killed between any two steps loses nothing, and two archivers do no harm. How far a batch is
archived is in its row, so while PostgreSQL is away, only numbers are remembered.
"""
