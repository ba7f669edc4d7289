"""Three brokers, one of which hangs: it keeps its connections and answers nothing. On a stack of this test's own."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

import pytest

from benchmarks import stage
from infra.native import brokers, procfile, stack
from reconciliation.summary import percentile
from tests.support import log
from tests.support.load import customers, nothing_lost

pytestmark = pytest.mark.long

#: Seconds after which a producer gives up a request, and sends it again to who leads the partition now.
TIME_OUT = 5.0
#: POSTs a second; seconds that a broker hangs, and that all answer again.
RATE, HANGS, AFTER = 30.0, 22.0, 8.0
#: Seconds in which a client wants its answer.
WITHIN = 2.0


@pytest.fixture(scope="module", autouse=True)
def _own_stack() -> Iterator[None]:
    names = [name for name in procfile.names(counts={"kafka": 3}) if name != stage.GENERATOR]
    with stage.nothing_stored():
        stack.up(only=names, mode="split", kafka=3)
        yield


def test_while_a_broker_hangs_each_post_is_answered_in_time_and_none_that_was_taken_is_lost() -> None:
    broker = brokers.names(3)[log.leader_of_most(log.CREATED) - 1]
    with customers(RATE) as calls:
        time.sleep(3)
        began = time.monotonic()
        stage.pause(broker)
        time.sleep(HANGS)
        stage.resume(broker)
        back = time.monotonic()
        time.sleep(AFTER)
    meanwhile = [one for one in calls.answers if began < one.sent < back]
    seconds = sorted(one.answered - one.sent for one in meanwhile)
    words = Counter(one.status for one in meanwhile)
    refused = [round(one.sent - began, 1) for one in meanwhile if one.status == 503]
    print(  # noqa: T201 - how long it is felt
        f"{broker} hung: {dict(words)}, p99 {percentile(seconds, 99):.2f} s, slowest {seconds[-1]:.2f} s, "
        f"503 from second {refused[:1]} to {refused[-1:]}"
    )
    assert set(words) <= {201, 503}
    assert percentile(seconds, 99) < WITHIN
    assert max(refused, default=0.0) < TIME_OUT + WITHIN, "others lead its partitions"
    nothing_lost([one.transaction_id for one in calls.answers if one.transaction_id], within=90)
