"""The describer `metadata`: describes what can be measured, such as size, format and colors."""
