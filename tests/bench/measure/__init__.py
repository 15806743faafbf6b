"""Measure the CPU time, memory and writes of every component."""
