"""What a client that probes each second sees, and what it counts as a lie."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from reconciliation.client_probe import LIMIT, ClientProbe, line

FULL: dict[str, Any] = {"transactions": [{}] * LIMIT, "source": "redis"}
SHORT: dict[str, Any] = {"transactions": [], "source": "cassandra"}
SAYS_SO = {**SHORT, "being_rebuilt": True}


@pytest.mark.parametrize(
    ("status", "page", "codes", "lies"),
    [
        (200, FULL, [200], False),
        (200, SHORT, [200], True),
        (200, SAYS_SO, [503], False),
        (200, SAYS_SO, [404], True),
        (503, {}, [503], False),
    ],
)
def test_a_short_list_or_a_404_without_a_word_is_a_lie(
    status: int, page: dict[str, Any], codes: list[int], lies: bool
) -> None:
    probe = ClientProbe([], print)
    probe._note(status, page, Counter(codes))
    assert bool(probe.lies) is lies


def test_a_line_has_the_source_and_the_answers_by_id() -> None:
    assert line(200, SAYS_SO, Counter({200: 7, 503: 13})) == (
        "GET 200   0 listed from cassandra, being rebuilt   by id  7 of 20, 13 x 503"
    )
    assert "100 listed from redis" in line(200, FULL, Counter({200: 20}))
