"""Describe a folder as a batch, in a way that can be interrupted at any time."""
