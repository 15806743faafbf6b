"""The `local` describer, which recognizes what a picture shows with models in its own packages."""
