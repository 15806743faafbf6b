"""Image files as they arrive: their formats and what their headers say. No pixel is decoded here."""
