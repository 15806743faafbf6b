"""The page of a reason, for people who follow the link `help` of a problem document."""

from html import escape

from ..web.reasons import ReasonEntry

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{reason}: {title}</title>
<link rel="icon" href="../ui/icon.svg">
<link rel="stylesheet" href="../ui/style.css">
</head>
<body>
<main>
<h1>{title}</h1>
<p><code>{reason}</code></p>
<h2>What happened</h2>
<p>{happened}</p>
<h2>What to do</h2>
<p>{remedy}</p>
<p>{repetition}</p>
<h2>Where it appears</h2>
<ul>
{places}
</ul>
<p><a href="../problems">All reasons</a> · <a href="../docs">All routes</a></p>
</main>
</body>
</html>
"""


def problem_page(entry: ReasonEntry) -> str:
    """Return the HTML page of a reason. Its links are relative, so that they work at any path."""
    return _PAGE.format(
        reason=escape(entry.reason),
        title=escape(entry.title),
        happened=escape(entry.happened),
        remedy=escape(entry.remedy),
        repetition=entry.repetition,
        places="\n".join(f"<li>{escape(place)}</li>" for place in entry.where),
    )
