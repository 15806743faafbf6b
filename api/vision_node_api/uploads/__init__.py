"""Receiving uploads: forms, raw bodies and base64, with limits on bytes, memory and time."""
