"""Opening image files that anyone may have made, and decoding them cheaply and safely."""
