"""What to do, decided from the state alone: no client, no clock, no change of the state."""
