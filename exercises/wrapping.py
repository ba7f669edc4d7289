"""Long lines of the transcript, whole: broken between words."""

from __future__ import annotations

import textwrap

WIDTH = 110


def wrapped(text: str) -> str:
    """Lines of at most so many characters, where words allow it; the first is set in by two, the others by four."""
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent="  ",
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
