"""A profile's stacks are assigned to their stage, without the machine's paths."""

import pytest

from benchmarks.cpu import Threads
from benchmarks.profiler import parse
from benchmarks.stages import OF_A_POST, STAGES, microseconds, share_of_traces, shares
from infra.native.paths import CODE

LOOP = (
    "run_forever (asyncio/base_events.py)",
    "_run_once (asyncio/base_events.py)",
    "_run (asyncio/events.py)",
)
STEP = (*LOOP, "attempt (app/processing/assignment.py)")


@pytest.mark.parametrize(
    ("stack", "stage"),
    [
        (
            (*STEP, "Pipeline.decide (app/processing/pipeline.py)", "Codec._decode (app/messaging/codec.py)"),
            "decode",
        ),
        (
            (
                *STEP,
                "decide (app/processing/pipeline.py)",
                "_file (app/processing/pipeline.py)",
                "decided (app/models/status.py)",
            ),
            "assess",
        ),
        (
            (
                *STEP,
                "decide (app/processing/pipeline.py)",
                "assess (app/assessment/fallback.py)",
                "gather (asyncio/tasks.py)",
            ),
            "assess",
        ),
        (
            (
                *STEP,
                "publish (app/processing/pipeline.py)",
                "publish (app/messaging/fenced_producer.py)",
                "encode (app/messaging/codec.py)",
            ),
            "publish",
        ),
        ((*LOOP, "_sender_routine (aiokafka/producer/sender.py)"), "publish"),
        ((*STEP, "store (app/processing/pipeline.py)", "bucket_of (app/models/transaction.py)"), "store"),
        (("_bootstrap (threading.py)", "_run_loop (cassandra/io/libevreactor.py)"), "store"),
        ((*LOOP, "_fetch_requests_routine (aiokafka/consumer/fetcher.py)"), "framework"),
        (STEP, "framework"),
        (LOOP, "framework"),
    ],
)
def test_the_innermost_frame_that_has_an_owner_decides(stack: tuple[str, ...], stage: str) -> None:
    assert STAGES.of(stack) == stage


@pytest.mark.parametrize(
    "place",
    [
        place
        for parts in (STAGES, OF_A_POST)
        for places in parts.owners.values()
        for place in places
        if place.startswith("app/") and not place.endswith("/")
    ],
)
def test_the_owner_of_each_part_is_in_the_app(place: str) -> None:
    file, _, function = place.partition(":")
    assert f"def {function}" in (CODE / file).read_text()


def test_the_parts_of_a_post_share_its_samples() -> None:
    post = (*LOOP, "start (aiohttp/web_protocol.py)", "Calls.post (app/web/transactions.py)")
    stacks = {
        post: 5,
        (*post, "parse (app/web/validation.py)", "model_validate_json (pydantic/main.py)"): 1,
        (*post, "Log.publish (app/messaging/producer.py)", "put (app/messaging/record_accumulator.py)"): 1,
        (*LOOP, "Sender._sender_routine (aiokafka/producer/sender.py)"): 1,
        (
            *LOOP,
            "PendingNotes.run (app/read_model/pending_writer.py)",
            "send (redis/asyncio/connection.py)",
        ): 1,
        LOOP: 1,
    }
    found = shares(stacks, OF_A_POST)
    assert found == {"HTTP": 0.5, "body": 0.1, "Kafka": 0.2, "Redis": 0.1, "loop and the rest": 0.1}


def test_the_stages_share_what_each_kind_of_thread_has_used() -> None:
    libev = ("Thread._bootstrap (threading.py)", "LibevLoop._run_loop (cassandra/io/libevreactor.py)")
    stacks = {LOOP: 1, (*STEP, "Pipeline.store (app/processing/pipeline.py)"): 3, libev: 9}
    found = microseconds(stacks, Threads(main=40, others=7, native=2))
    assert found == {"decode": 0, "assess": 2, "publish": 0, "store": 37, "framework": 10}


def test_a_raw_profile_is_read_without_the_machines_folders() -> None:
    raw = "<module> (/home/somebody/.venv/bin/faust:1);Runner.run (asyncio/runners.py:86) 7\n<module> (<string>) 2\n"
    assert parse(raw) == {
        ("<module> (faust)", "Runner.run (asyncio/runners.py)"): 7,
        ("<module> (<string>)",): 2,
    }


def test_what_is_done_for_traces_is_all_that_they_call_and_not_what_they_are_around() -> None:
    decide = (*STEP, "TracedPipeline.decide (app/processing/traced.py)")
    sending = ("Thread._bootstrap (threading.py)", "BatchProcessor.worker (opentelemetry/sdk/_shared.py)")
    stacks = {
        decide: 1,
        (*decide, "start (app/observability/tracing.py)", "urandom (random.py)"): 2,
        (*sending, "Session.send (requests/sessions.py)"): 3,
        (*decide, "Pipeline.decide (app/processing/pipeline.py)"): 10,
        (*LOOP, "traced (app/web/traces.py)", "post (app/web/transactions.py)"): 14,
    }
    assert share_of_traces(stacks) == pytest.approx(6 / 30)
