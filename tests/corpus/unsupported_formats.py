"""Files in unsupported formats. If the API recognizes the format, the refusal names it."""

from pictures import encoded, halves
from PIL import Image

from .case import Case, unsupported

SMALL = Image.new("RGB", (16, 16), "red")

STARTS = {
    "PDF": (b"%PDF-1.7\n", "PDF"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "PostScript"),
    "Photoshop": (b"8BPS\0\1" + bytes(40), "Photoshop"),
    "SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>', "SVG"),
    "SVG after a comment": (b"<?xml version='1.0'?>\n<!-- x -->\n<SVG/>", "SVG"),
    "HTML": (b"<!doctype html><html>", "HTML"),
    "JPEG XL": (b"\xff\x0a" + bytes(40), "JPEG XL"),
    "JPEG XL container": (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    "JPEG 2000 container": (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    "JPEG XR": (b"II\xbc\1" + bytes(40), "JPEG XR"),
    "a raw file from Fujifilm": (b"FUJIFILMCCD-RAW 0201", "RAF"),
    "a raw file from Olympus": (b"IIRO\x08\0\0\0", "ORF"),
    "a raw file from Panasonic": (b"IIU\0\x18\0\0\0", "RW2"),
    "a raw file from a newer Canon camera": (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "CR3"),
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
    "a QuickTime video": (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", "QuickTime"),
    "an MP4 video": (b"\0\0\0\x18ftypisom\0\0\2\0isommp42", "MP4"),
    "a WebM video": (b"\x1a\x45\xdf\xa3" + bytes(40), "WebM"),
    "an AVI video": (b"RIFF\x24\0\0\0AVI LIST", "AVI"),
    "a WAV recording": (b"RIFF\x24\0\0\0WAVEfmt ", "WAV"),
    "an MP3 recording": (b"ID3\4" + bytes(20), "MP3"),
    "RTF": (b"{\\rtf1\\ansi", "RTF"),
    "XPM": (b"/* XPM */\nstatic char", "XPM"),
}
"""The first bytes of a file and a word that the refusal must contain, by format."""

ENCODED = {
    "a Windows icon": ("ICO", "icon"),
    "Netpbm": ("PPM", "Netpbm"),
    "JPEG 2000": ("JPEG2000", "JPEG 2000"),
    "DirectDraw": ("DDS", "DirectDraw"),
    "a macOS icon": ("ICNS", "ICNS"),
    "QOI": ("QOI", "QOI"),
    "a Targa image": ("TGA", "Targa"),
}
"""Pillow's name for the format and a word that the refusal must contain, by format."""

UNKNOWN = {
    "text": b"not an image\n" * 100,
    "zeros": bytes(1000),
    "all byte values": bytes(range(256)) * 40,
    "one byte": b"\xff",
    "text in base64": b"bm90IGFuIGltYWdlCg==",
    "JSON": b'{"image": "data:image/png;base64,iVBORw0KGgo="}',
}

UNSUPPORTED: dict[str, Case] = {
    "an empty file": Case(b"", 400, "EmptyImage", ("no bytes",)),
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
