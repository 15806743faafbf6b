"""Measuring: CPU time, memory and writes of every component."""
