"""Receive uploads as forms, raw bodies or base64, with limits on size, memory and time."""
