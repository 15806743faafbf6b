"""Open untrusted image files, and decode them cheaply and safely."""
