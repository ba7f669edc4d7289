"""docs/scylladb.md says of all that we send what ScyllaDB's manual says of it."""

from __future__ import annotations

import re
from pathlib import Path

from app.commands.verify import full_scans
from app.stores import cassandra, idempotency_table, labels_table, transactions_table
from tests.support import compose

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/scylladb.md").read_text()
HEADER, _, *ROWS = [line for line in PAGE.splitlines() if line.startswith("|")]
#: What stands as code in the first column.
NAMED = {span for row in ROWS for span in re.findall(r"`([^`]+)`", row.split("|")[1])}

MODULES = (cassandra, full_scans, idempotency_table, labels_table, transactions_table)
VERB = re.compile(r"(SELECT|INSERT|UPDATE|CREATE|ALTER|DELETE|BEGIN|TRUNCATE|DROP) ")
TABLES = "\n".join(
    [
        *cassandra.ddl(3, scylla=True),
        *(re.sub("--.*", "", module.DDL.read_text()) for module in (idempotency_table, labels_table)),
    ]
)
STATEMENTS = "\n".join(
    [TABLES, *(value for one in MODULES for value in vars(one).values() if VERB.match(str(value)))]
)
#: Their statements are not constants of a module.
BESIDE = "".join(
    (ROOT / file).read_text()
    for file in ("app/stores/cassandra.py", "reconciliation/recovery.py", "exercises/synchronous.py")
)


def words(text: str) -> set[str]:
    return set(re.findall(r"\b[A-Z]{2,}\b", text))


def test_every_keyword_that_we_send_is_one_that_was_looked_up_in_scylladbs_manual() -> None:
    assert words(STATEMENTS) - words(" ".join(NAMED)) == set()


def test_the_page_names_nothing_that_we_do_not_send() -> None:
    sent = " ".join((STATEMENTS + BESIDE).split())
    # Asked for as a row of system_schema.tables.
    sent = sent.replace("keyspace_name = 'system' AND table_name = 'scylla_local'", "system.scylla_local")
    assert [span for span in NAMED if span not in sent] == []


def test_every_table_and_index_of_ours_is_on_the_page() -> None:
    made = re.findall(r"CREATE (?:TABLE|INDEX) IF NOT EXISTS (?:transactions\.)?(\w+)", TABLES)
    assert len(made) == 5
    assert [name for name in made if f"`{name}`" not in PAGE] == []


def test_the_version_in_the_containers_is_one_that_the_page_was_read_for() -> None:
    version = compose.services()["scylla-1"]["image"].partition(":")[2]
    assert f"ScyllaDB {version}" in PAGE
    assert ".".join(version.split(".")[:2]) in HEADER


def test_every_cell_has_a_source() -> None:
    sources = set(re.findall(r"^\[(\w+)\]: https://", PAGE, re.MULTILINE))
    cells = [cell for row in ROWS for cell in row.strip("|").split("|")[1:]]
    assert [cell for cell in cells if not re.fullmatch(r" \[[^\]]+\]\[(\w+)\] ", cell)] == []
    used = set(re.findall(r"\]\[(\w+)\]", PAGE))
    assert used == sources
