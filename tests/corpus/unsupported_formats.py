"""Files in unsupported formats. Each refusal names the format if it is known."""

from pictures import encoded, halves
from PIL import Image

from .case import Case, unsupported

SMALL = Image.new("RGB", (16, 16), "red")

STARTS = {
    "PDF": (b"%PDF-1.7\n", "PDF"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "PostScript"),
    "Photoshop": (b"8BPS\0\1" + bytes(40), "Photoshop"),
    "SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>', "SVG"),
    "SVG behind a comment": (b"<?xml version='1.0'?>\n<!-- x -->\n<SVG/>", "SVG"),
    "HTML": (b"<!doctype html><html>", "HTML"),
    "JPEG XL": (b"\xff\x0a" + bytes(40), "JPEG XL"),
    "JPEG XL in boxes": (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    "JPEG 2000 in boxes": (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    "JPEG XR": (b"II\xbc\1" + bytes(40), "JPEG XR"),
    "a raw file of Fujifilm": (b"FUJIFILMCCD-RAW 0201", "RAF"),
    "a raw file of Olympus": (b"IIRO\x08\0\0\0", "ORF"),
    "a raw file of Panasonic": (b"IIU\0\x18\0\0\0", "RW2"),
    "a raw file of Canon, newer": (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "CR3"),
    "GIMP": (b"gimp xcf v011\0", "GIMP"),
    "OpenEXR": (b"v/1\x01\2\0\0\0", "OpenEXR"),
    "Radiance": (b"#?RADIANCE\n", "Radiance"),
    "FITS": (b"SIMPLE  =                    T", "FITS"),
    "DICOM": (bytes(128) + b"DICM" + bytes(20), "DICOM"),
    "a Windows metafile": (b"\xd7\xcd\xc6\x9a" + bytes(40), "metafile"),
    "DjVu": (b"AT&TFORM\0\0\0\x09DJVU", "DjVu"),
    "ZIP": (b"PK\3\4" + bytes(30), "ZIP"),
    "an old Office document": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99), "Office"),
    "gzip": (b"\x1f\x8b\x08\0" + bytes(20), "gzip"),
    "7z": (b"7z\xbc\xaf\x27\x1c" + bytes(20), "7z"),
    "RAR": (b"Rar!\x1a\x07\0", "RAR"),
    "a video of a phone": (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", "QuickTime"),
    "a video": (b"\0\0\0\x18ftypisom\0\0\2\0isommp42", "MP4"),
    "a video of the web": (b"\x1a\x45\xdf\xa3" + bytes(40), "WebM"),
    "a video in RIFF": (b"RIFF\x24\0\0\0AVI LIST", "AVI"),
    "a recording in RIFF": (b"RIFF\x24\0\0\0WAVEfmt ", "WAV"),
    "a recording": (b"ID3\4" + bytes(20), "MP3"),
    "RTF": (b"{\\rtf1\\ansi", "RTF"),
    "XPM": (b"/* XPM */\nstatic char", "XPM"),
}
"""The start of a file and a word in the refusal, by format."""

ENCODED = {
    "an icon": ("ICO", "icon"),
    "Netpbm": ("PPM", "Netpbm"),
    "JPEG 2000": ("JPEG2000", "JPEG 2000"),
    "DirectDraw": ("DDS", "DirectDraw"),
    "an icon of macOS": ("ICNS", "ICNS"),
    "QOI": ("QOI", "QOI"),
    "a Targa picture": ("TGA", "Targa"),
}
"""Pillow's name for the format and a word in the refusal, by format."""

UNKNOWN = {
    "text": b"not an image\n" * 100,
    "zeros": bytes(1000),
    "every byte": bytes(range(256)) * 40,
    "one byte": b"\xff",
    "base64 of a text": b"bm90IGFuIGltYWdlCg==",
    "JSON": b'{"image": "data:image/png;base64,iVBORw0KGgo="}',
}

UNSUPPORTED: dict[str, Case] = {
    "nothing": Case(b"", 400, "EmptyImage", ("no bytes",)),
    **{
        name: unsupported(data, word, "convert it to one of JPEG")
        for name, (data, word) in STARTS.items()
    },
    **{
        name: unsupported(encoded(halves() if kind != "ICNS" else SMALL, kind), word)
        for name, (kind, word) in ENCODED.items()
    },
    **{
        name: unsupported(data, "not in a supported image format") for name, data in UNKNOWN.items()
    },
}
