"""Running programs and steps, with progress that a person can follow."""
