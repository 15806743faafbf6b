"""Reading printed text: pixels, lines, their order, their language."""
