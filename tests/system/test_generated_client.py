"""A client that a tool makes of /openapi.json works, as docs/http.md has it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from infra.native.paths import ROOT
from reconciliation.readers import bff_url

pytestmark = pytest.mark.long

(PROGRAM,) = re.findall(
    r"^```python\n(.*?)^```", (ROOT / "docs/http.md").read_text(), re.MULTILINE | re.DOTALL
)
(OPTIONS,) = re.findall(r"`openapi-python-client (generate .*?)`", (ROOT / "docs/http.md").read_text())


def ran(*command: str, cwd: Path) -> str:
    """What it printed; it must have ended well."""
    path = os.pathsep.join(
        [str(Path(sys.executable).parent), os.environ["PATH"]]
    )  # where the tool finds ruff
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(cwd)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def here(text: str) -> str:
    return text.replace("http://localhost:5001", bff_url())


def test_the_program_of_the_docs_posts_one_sees_it_decided_and_finds_it_in_the_list(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "openapi_python_client", *here(OPTIONS).split()]
    assert "Warning" not in ran(*command, cwd=tmp_path)
    assert re.fullmatch(
        r"(accepted|rejected) 0\.\d+ 1\n", ran(sys.executable, "-c", here(PROGRAM), cwd=tmp_path)
    )
