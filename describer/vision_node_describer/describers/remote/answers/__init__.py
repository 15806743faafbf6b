"""Reads a model's answer: its shape is enforced here and never trusted."""
