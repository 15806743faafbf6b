"""Draw screenshots: a web page, a terminal, a dialog, a chat, a spreadsheet and an editor."""

from pictures import screen
from PIL import Image, ImageDraw
from printed import TEXT, font, wrapped

from bench.local.drawn.drawing import Drawing

_SCREENSHOT = frozenset({"screenshot"})
_MAY = frozenset({"website", "web page", "window", "menu", "screen", "text"})


def _web_page() -> Image.Image:
    picture = Image.new("RGB", (1440, 900), "white")
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 0, 1440, 70), fill="#0b3d5c")
    draw.text((40, 18), "The Harbor Gazette", font=font("Roboto", 30), fill="white")
    for index, item in enumerate(("Home", "World", "Science", "Sports", "Sign in")):
        draw.text((700 + 140 * index, 24), item, font=font("Roboto", 20), fill="white")

    draw.text(
        (40, 110), "Ferry service resumes after repairs", font=font("Roboto", 40), fill="#111"
    )
    for row, line in enumerate(wrapped(TEXT, font("Roboto", 20), 860)[:20]):
        draw.text((40, 190 + 30 * row), line, font=font("Roboto", 20), fill="#333")

    for index, item in enumerate(("Most read", "Weather", "Timetable")):
        top = 120 + 240 * index
        draw.rounded_rectangle((980, top, 1400, top + 200), 12, fill="#eef3f7")
        draw.text((1000, top + 16), item, font=font("Roboto", 24), fill="#0b3d5c")

    return picture


def _terminal() -> Image.Image:
    picture = Image.new("RGB", (1000, 640), "#1e1e1e")
    draw, mono = ImageDraw.Draw(picture), font("Ubuntu Mono", 20)
    lines = (
        *("$ git status", "On branch main", "Changes not staged for commit:"),
        *("    modified:   src/app.py", "    modified:   README.md", "", "$ make test"),
        *("collected 214 items", "tests/test_app.py ........", "tests/test_api.py ......", ""),
        *("214 passed in 3.42s", "$ ls -l", "drwxr-xr-x 2 user user 4096 src", "$ _"),
    )
    for row, line in enumerate(lines):
        color = "#4ec9b0" if line.startswith("$") else "#d4d4d4"
        draw.text((20, 20 + 38 * row), line, font=mono, fill=color)

    return picture


def _dialog() -> Image.Image:
    picture = Image.new("RGB", (640, 300), "#f0f0f0")
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 0, 640, 40), fill="#3a6ea5")
    draw.text((12, 8), "Save changes?", font=font("Roboto", 20), fill="white")
    draw.text((40, 90), "The document has unsaved changes.", font=font("Roboto", 20), fill="black")
    draw.text((40, 125), "Do you want to save them?", font=font("Roboto", 20), fill="black")
    for index, item in enumerate(("Save", "Discard", "Cancel")):
        left = 160 + 150 * index
        draw.rectangle((left, 220, left + 130, 264), fill="#e1e1e1", outline="#777777")
        draw.text((left + 30, 230), item, font=font("Roboto", 20), fill="black")

    return picture


def _chat() -> Image.Image:
    picture = Image.new("RGB", (1080, 2340), "#ece5dd")
    draw, text = ImageDraw.Draw(picture), font("Roboto", 44)
    draw.rectangle((0, 0, 1080, 190), fill="#075e54")
    draw.text((60, 80), "Hiking group", font=font("Roboto", 56), fill="white")
    messages = (
        *("Are we still on for Saturday?", "Yes, train at 8:12", "Platform 4, right?"),
        *("Bring rain jackets, please", "Will do. Who has the map?", "I do", "See you there!"),
    )
    for index, message in enumerate(messages):
        top, mine = 260 + 240 * index, index % 2
        width = int(text.getlength(message)) + 80
        left = 1040 - width if mine else 40
        color = "#dcf8c6" if mine else "white"
        draw.rounded_rectangle((left, top, left + width, top + 130), 30, fill=color)
        draw.text((left + 40, top + 36), message, font=text, fill="#222222")

    return picture


def _spreadsheet() -> Image.Image:
    picture = Image.new("RGB", (1366, 768), "white")
    draw, text = ImageDraw.Draw(picture), font("Roboto", 18)
    draw.rectangle((0, 0, 1366, 60), fill="#217346")
    draw.text((20, 18), "budget.xlsx", font=text, fill="white")
    head = ("", "Item", "January", "February", "March", "April", "Total")
    for row in range(20):
        for column, title in enumerate(head):
            left, top = 195 * column, 60 + 34 * row
            draw.rectangle((left, top, left + 195, top + 34), outline="#c8c8c8")
            value = title if row == 0 else str(row * 37 + column * 113)
            draw.text((left + 10, top + 7), value, font=text, fill="black")

    return picture


def _editor() -> Image.Image:
    picture = Image.new("RGB", (1920, 1080), "#272822")
    draw, mono = ImageDraw.Draw(picture), font("Ubuntu Mono", 24)
    code = (
        *("import json", "from pathlib import Path", "", "", "def load(path: Path) -> dict:"),
        *('    """Read the settings."""', "    if not path.exists():", "        return {}", ""),
        *("    return json.loads(path.read_text())", "", "", 'if __name__ == "__main__":'),
        *('    settings = load(Path("settings.json"))', "    print(settings)"),
    )
    for row, line in enumerate(code):
        top = 60 + 44 * row
        draw.text((20, top), f"{row + 1:>3}", font=mono, fill="#75715e")
        draw.text((110, top), line, font=mono, fill="#f8f8f2" if row % 3 else "#66d9ef")

    return picture


SCREENS = {
    "web page": Drawing(_web_page, _SCREENSHOT, _MAY),
    "terminal": Drawing(_terminal, _SCREENSHOT, _MAY | {"terminal"}),
    "dialog": Drawing(_dialog, _SCREENSHOT | {"graphic"}, _MAY | {"dialog"}),
    "chat on a phone": Drawing(_chat, _SCREENSHOT, _MAY | {"chat", "message"}),
    "spreadsheet": Drawing(
        _spreadsheet, _SCREENSHOT | {"document"}, _MAY | {"table", "spreadsheet"}
    ),
    "code editor": Drawing(_editor, _SCREENSHOT, _MAY | {"code"}),
    "window": Drawing(screen, _SCREENSHOT, _MAY),
    "dark window as JPEG": Drawing(lambda: screen("#202124", "#e8eaed"), _SCREENSHOT, _MAY, "JPEG"),
}
