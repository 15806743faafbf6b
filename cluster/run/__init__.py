"""Run programs and steps, and report their progress to the user."""
