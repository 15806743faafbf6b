"""Decide what to do, based on the state alone.

No module here has a client or a clock, and none changes the state.
"""
