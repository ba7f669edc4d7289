"""The header of a trace is in the records while tracing is on, and not while it is off."""

from __future__ import annotations

from infra.native import supervisor
from tests.support import http, log

SAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_while_tracing_is_off_no_record_has_the_header_of_a_trace_not_even_one_that_a_client_sent() -> None:
    created, decided = log.ends(log.CREATED), log.ends(log.STATUS)
    answer = http.post(headers={"Content-Type": "application/json", "traceparent": SAMPLED})
    key = str(answer.json["transaction_id"])
    http.final(key)
    records = [*log.read(log.CREATED, created), *log.read(log.STATUS, decided)]
    ours = [one for one in records if log.id_of(one) == key.encode()]
    assert [one.topic for one in ours] == [log.CREATED, log.STATUS]
    traced = ["traceparent" in dict(one.headers) for one in ours]
    assert traced == ["traces" in supervisor.names()] * 2
