"""The parts of a fake vision-node server: its state, and what it does with jobs and batches."""
