"""The report: numbers as tables, a chart and a page."""
