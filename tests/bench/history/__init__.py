"""`make bench-history`: what a million rows of history cost, and how fast they are searched."""
