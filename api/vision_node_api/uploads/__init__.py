"""Receiving uploads: forms, raw bodies and base64, bounded in bytes, memory and time."""
