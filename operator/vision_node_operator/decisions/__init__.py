"""Decide what to do from the state alone, without a client or a clock, and without changing it."""
