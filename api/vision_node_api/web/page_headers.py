"""Headers of pages for people."""

PAGE_HEADERS = {
    # Previews are blob: URLs of files that the user chose. Everything else comes from this server.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # Browsers must revalidate all files on every load, so that an upgraded page never runs an old
    # script.
    "Cache-Control": "no-cache",
}
"""Headers that block all third-party code and framing."""
