"""The pages keep their promises: files in the table of packages import them, every link leads somewhere."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
#: What a package of the table is imported as.
IMPORTED_AS = {
    "faust-streaming": "faust",
    "python-schema-registry-client": "schema_registry",
    "cassandra-driver": "cassandra",
    "redis": "redis.asyncio",
    "grpcio": "grpc",
}
ROW = re.compile(r"^\| ([a-z-]+) \| (\[.*?) \|", re.MULTILINE)
LINK = re.compile(r"\]\(([^)#]+)\)")

README = (ROOT / "README.md").read_text()
ROWS = ROW.findall((ROOT / "docs/packages.md").read_text())


def test_every_package_asked_for_has_its_row() -> None:
    assert [package for package, _ in ROWS] == [
        "faust-streaming",
        "fastavro",
        "python-schema-registry-client",
        "cassandra-driver",
        "redis",
        "grpcio",
        "tensorflow",
        "aiohttp",
    ]


@pytest.mark.parametrize(("package", "links"), ROWS, ids=[package for package, _ in ROWS])
def test_each_named_file_imports_its_package(package: str, links: str) -> None:
    name = re.escape(IMPORTED_AS.get(package, package))
    for file in LINK.findall(links):
        source = (ROOT / "docs" / file).read_text()
        assert re.search(rf"^\s*(import|from) {name}\b", source, re.MULTILINE), (
            f"{file} does not import {package}"
        )


def test_every_package_of_the_table_is_a_declared_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    declared = " ".join([*project["project"]["dependencies"], *project["dependency-groups"]["antifraud"]])
    assert [package for package, _ in ROWS if package not in declared] == []


PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "docs/tour.md",
    "docs/architecture.md",
    "docs/operations.md",
    "docs/runbooks.md",
    "docs/upgrades.md",
    "docs/backup.md",
    "docs/retention.md",
    "docs/metrics.md",
    "docs/http.md",
    "docs/packages.md",
    "docs/performance.md",
    "docs/capacity.md",
    "docs/traces.md",
    "docs/kubernetes.md",
    "docs/scylladb.md",
    "docs/security.md",
]


@pytest.mark.parametrize("page", PAGES)
def test_every_link_to_a_file_of_ours_leads_somewhere(page: str) -> None:
    links = [link for link in LINK.findall((ROOT / page).read_text()) if "://" not in link]
    assert links
    assert [link for link in links if not ((ROOT / page).parent / link).exists()] == []


def test_every_make_command_in_the_readme_is_a_target() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", README)) <= targets
