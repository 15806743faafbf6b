"""The `local` describer, which uses models on the worker to recognize what a picture shows."""
