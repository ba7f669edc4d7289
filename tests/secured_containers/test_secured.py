"""docker-compose.secure.yml: each part with TLS and a name, and what dies is found again by all others."""

from __future__ import annotations

import json
import re
import subprocess
import time

import pytest

from infra.containers import secure
from infra.native import ports
from tests.containers.engine import SERVICES, docker, health, inspect, kill, start
from tests.support import http, plainly
from tests.support.load import customers

pytestmark = [pytest.mark.containers, pytest.mark.usefixtures("whole_again")]

PARTS = ("kafka", "cassandra-1", "redis", "antifraud-1", "envoy", "registry")


def test_every_container_is_healthy_and_a_transaction_goes_all_the_way() -> None:
    assert health() == dict.fromkeys(SERVICES, "healthy")
    found = http.final(http.taken(), 60)
    assert (found["status"] in http.FINAL, found["reason"]) == (True, None)


@pytest.mark.parametrize("part", PARTS)
def test_a_plain_question_gets_no_answer(part: str) -> None:
    assert plainly.refusal(part, ports.endpoints(part)[0]) is not None


@pytest.mark.parametrize("name", ["kafka", "registry", "scylla-1", "redis", "envoy", "transactions", "bff"])
def test_what_dies_is_found_again_by_all_others_and_nothing_is_lost(name: str) -> None:
    with customers(rate=10) as load:
        time.sleep(1)
        kill(name)
        time.sleep(2)
        start(name)
        time.sleep(1)
    for id_ in load.ids:
        http.final(id_, 60)
    assert load.ids
    assert "agree" in docker("exec", "bff", "faust", "-A", "app.main", "verify", within=300)


def test_no_password_is_in_a_log_or_in_a_containers_words() -> None:
    secrets = set()
    for name in ("kafka", "kafka.users", "cassandra", "roles.cql", "redis.acl", "users.properties"):
        secrets |= set(re.findall(r"[0-9a-f]{48}", (secure.FOLDER / name).read_text()))
    assert len(secrets) == 6
    for name in SERVICES:
        done = subprocess.run(
            ["docker", "logs", name], capture_output=True, text=True, timeout=60, check=True
        )
        words = json.dumps(inspect(name)) + docker("top", name, "-eo", "pid,args")
        assert not [one for one in secrets if one in done.stdout + done.stderr + words], name
