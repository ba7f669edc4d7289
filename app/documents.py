"""`python -m app.documents` writes schemas/openapi.json and asyncapi.json, which tests compare with later releases."""

from __future__ import annotations

from pathlib import Path

from app.bootstrap import create_app
from app.settings import Settings
from app.web import asyncapi, openapi
from app.web.documents import to_text

SCHEMAS = Path(__file__).parents[1] / "schemas"


def documents() -> dict[str, str]:
    """File name to text, as a bff with these settings serves them."""
    return {
        "openapi.json": to_text(openapi.document(create_app("bff").web.views)),
        "asyncapi.json": to_text(asyncapi.document(Settings())),
    }


if __name__ == "__main__":
    for name, text in documents().items():
        (SCHEMAS / name).write_text(text)
