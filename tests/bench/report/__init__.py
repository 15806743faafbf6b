"""Create the benchmark report, which consists of a Markdown page and a chart."""
