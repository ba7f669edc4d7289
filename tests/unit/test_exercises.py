"""The exercises without the stack: each has its page, its control and its promise of what is shown."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from exercises import (
    asynchrony,
    calls,
    checks,
    formats,
    history_soak,
    proxy,
    replicas,
    rolling_restart_report,
    soak_report,
    webhook,
)
from exercises.__main__ import EXERCISES
from exercises.calls import WIDTH, Get, RecordedCalls, answered, get_of, line, wrapped
from exercises.context import Context
from exercises.controls.bare_envoy import bare
from exercises.faults import Faults
from exercises.load_client import LoadClient
from exercises.soak import EVERY, schedule
from generator.client import Answer
from history.features import FEATURES, VERSION
from infra.native import processes, procfile, stack
from lab import texts

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "exercises"
NUMBERS = [*EXERCISES]
PAGES = sorted(DOCS.rglob("*.md"))
LINK = re.compile(r"\]\(([^)#]+)[^)]*\)")


def test_each_says_what_it_does_what_its_control_is_and_what_the_old_system_did() -> None:
    assert NUMBERS == [*range(1, len(NUMBERS) + 1)] == texts.NUMBERS
    for exercise in EXERCISES.values():
        assert exercise.__doc__
        assert exercise.CONTROL
        assert exercise.OLD


@pytest.mark.parametrize("folder", [DOCS, DOCS / "pt"], ids=["English", "Portuguese"])
def test_each_has_a_page_that_names_its_commands(folder: Path) -> None:
    for number in NUMBERS:
        text = (folder / f"{number}.md").read_text()
        assert f"make exercise N={number}\n" in text
        assert f"make exercise N={number} CONTROL=1" in text


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(DOCS)) for page in PAGES])
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    links = [link for link in LINK.findall(page.read_text()) if "://" not in link]
    assert links
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(DOCS)) for page in PAGES])
def test_every_make_command_of_a_page_is_a_target_and_every_part_it_names_is_one(page: Path) -> None:
    text = page.read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", text)) <= targets
    parts = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Procfile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake (?:kill|stop|start|pause|resume|cqlsh) NAME=([a-z0-9-]+)", text)) <= parts


@pytest.mark.parametrize("folder", [DOCS / "answers.md", DOCS / "pt" / "answers.md"])
def test_every_question_has_its_answer(folder: Path) -> None:
    answers = folder.read_text()
    for number in NUMBERS:
        page = (folder.parent / f"{number}.md").read_text()
        questions = re.findall(r"^\d\. ", page.split("\n## ")[-1], re.MULTILINE)
        part = answers.split(f"\n## {number}\n")[1].split("\n## ")[0]
        assert re.findall(r"^\d\. ", part, re.MULTILINE) == questions


def test_a_second_is_reported_in_a_line() -> None:
    posts = [Answer("a", 201, 0, 0, 0.01), Answer(None, 503, 0, 0, 2.0, "503")]
    said = line(7, posts, [Get(0, 0.005, 200, "redis", 100)], 3)
    assert re.sub(" +", " ", said) == (
        " 7 s POST 1 taken, 1 x 503 p99 2000 ms GET 1 from redis p99 5 ms lag 3"
    )
    assert "no answer" in line(8, [], [], None)
    assert line(8, [], [], None).endswith("lag ?")


def test_what_posts_were_answered_is_reported_in_words() -> None:
    unserved = [Answer(None, status, 0, 0, 2.0) for status in (503, 503, 0)]
    assert answered(unserved) == "2 x 503, 1 refused"


def test_a_get_is_reported_by_its_answer_and_is_none_if_that_is_not_ours() -> None:
    page = '{"transactions": [{}, {}], "source": "cassandra", "pending_may_be_missing": true}'
    get = get_of(0, 200, page)
    assert (get.status, get.source, get.length, get.may_lack) == (200, "cassandra", 2, True)
    assert get_of(0, 503, "{}").status == 503
    assert get_of(0, 200, "[]").status == get_of(0, 200, "not JSON").status == 0


def test_a_single_post_and_get_count_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the ledger that is in use: the clients' own while they are at work."""
    monkeypatch.setattr(calls, "post", lambda: Answer("a", 201, 1, 1, 1.01))
    monkeypatch.setattr(calls, "get", lambda: Get(2, 2.005, 200, "redis", 100))
    said, clients = list[str](), RecordedCalls()
    faults = Faults(said.append, recorded_calls=clients)
    assert faults.client_now().transaction_id == "a"
    assert clients.ids == ["a"]
    assert [get.source for get in clients.reads(0)] == ["redis"]
    assert said == ["  a client's POST: 201 in 10 ms", "  a client's GET:  200 in 5 ms from redis"]


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (
            '{"title": "Not acknowledged", "error": "Not acknowledged: no answer"}',
            "Not acknowledged: no answer",
        ),
        ("ConnectionRefusedError: refused", "ConnectionRefusedError: refused"),
        ("[]", "[]"),
    ],
)
def test_an_error_is_reported_in_its_own_words(said: str, error: str) -> None:
    assert calls.error_in(said) == error


def test_the_lag_is_at_rest_when_it_is_what_half_a_second_brings() -> None:
    assert [checks.at_rest(rate) for rate in (10, 20, 100)] == [10, 10, 50]


@pytest.mark.parametrize(
    ("lags", "since"),
    [
        ([(1, 99), (2, 4), (3, 5)], 2),
        ([(1, 4), (2, 99), (3, 5)], 3),  # it rose again: what was seen before says nothing
        ([(1, 4), (2, None), (3, 5)], 3),  # and so does what nobody could tell
        ([(1, 4), (2, 11)], None),
        ([(1, 4), (2, None)], None),
        ([], None),
    ],
)
def test_it_is_caught_up_since_the_first_of_the_last_looks_that_found_little(
    lags: list[tuple[float, int | None]], since: float | None
) -> None:
    assert checks.calm_since(lags, 10) == since


@pytest.mark.parametrize(("lag", "held"), [(4, True), (99, False)])
def test_not_caught_up_breaks_a_promise(lag: int, held: bool) -> None:
    context, clients = Context(control=False, short=True), LoadClient(lambda _: None, 20)
    clients.lags.append((float("inf"), lag))  # a look of later than now
    checks.caught_up(context, clients, "with the worker back", within=0.1)
    ((text, kept, seen),) = context.promises
    assert (text, kept) == ("with the worker back: what waited is done", held)
    assert seen.startswith(f"lag {lag}")


def test_what_was_made_later_than_the_first_of_ours_and_is_none_of_ours_had_no_201() -> None:
    others = checks.OthersSince(["0199-b", "0199-d"])
    assert [id_ for id_ in ("0199-a", "0199-b", "0199-c", "0199-d", "0199-e") if id_ in others] == [
        "0199-c",
        "0199-e",
    ]


@pytest.mark.parametrize(
    ("published", "without", "waited", "allowed"),
    [(40, 0, 2.1, True), (39, 0, 2.1, False), (40, 3, 2.1, False), (40, 3, 7.0, True), (39, 3, 7.0, False)],
)
def test_without_envoy_a_verdict_may_lack_its_assessment_only_after_the_worker_has_lost_patience(
    published: int, without: int, waited: float, allowed: bool
) -> None:
    assert asynchrony.as_the_setting_allows(40, published, without, waited) is allowed


def test_a_share_is_of_all_that_were_answered() -> None:
    assert proxy.share_of("a", Counter(a=1, b=9)) == 0.1
    assert proxy.share_of("a", Counter()) == 0


def test_a_long_line_is_shown_whole_and_broken_between_words() -> None:
    text = " ".join(f"word-{number}" for number in range(60))
    lines = wrapped(text).splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert " ".join(line.strip() for line in lines) == text
    assert [line[:5] for line in lines[:2]] == ["  wor", "    w"]


def test_the_bare_envoy_lacks_what_protects_and_nothing_else() -> None:
    usual = (ROOT / "infra" / "envoy" / "envoy.yaml").read_text()
    (with_all,) = yaml.safe_load(usual)["static_resources"]["clusters"]
    (without,) = yaml.safe_load(bare(usual))["static_resources"]["clusters"]
    assert with_all.keys() - without.keys() == {"health_checks", "outlier_detection"}
    assert "num_retries: 0" in bare(usual)


@pytest.mark.parametrize("made", [formats.avro, formats.json_text, formats.protobuf])
def test_a_format_gives_a_record_back(made: type) -> None:
    form = made()
    (record,) = formats.records(1)
    assert form.read(form.write(record)) == record


def test_the_proto_has_the_fields_of_the_avro_schema() -> None:
    message = formats.message_class(formats.PROTO.read_text())
    names = [field["name"] for field in formats.avro_schema()["fields"]]
    assert [field.name for field in message.DESCRIPTOR.fields] == names


def test_a_replica_is_asked_directly_with_the_history_on_record_in_the_order_of_its_features() -> None:
    fields = {"value_in_cents": 5, "transaction_timestamp": 6, "latitude": 7.0, "longitude": 8.0}
    known = [{name: 100 * row + place for place, name in enumerate(FEATURES)} for row in (1, 2)]
    mixed = [dict(reversed(one.items())) for one in known]
    request = replicas._request([{**fields, "history": one} for one in mixed])
    assert list(request.value_in_cents) == [5, 5]
    assert list(request.history) == [value for one in known for value in one.values()]
    assert request.history_version == VERSION


def test_a_webhook_is_tried_once_or_ten_times_more() -> None:
    assert sorted(len(pauses) for pauses in webhook.SENDERS.values()) == [0, 10, 10]


@pytest.mark.parametrize(
    ("given", "runs"),
    [("N=4", '-m exercises "4"'), ("N=4 CONTROL=1", '-m exercises "4" --control')],
)
def test_make_runs_the_exercise_it_is_asked_for(given: str, runs: str) -> None:
    command = ["make", "--no-print-directory", "-n", "exercise", *given.split()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].strip().endswith(runs)


def test_make_asks_which_exercise_is_meant() -> None:
    done = subprocess.run(
        ["make", "-o", "setup", "exercise"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "which one? say N=1" in done.stdout


def test_a_soak_of_histories_has_its_kills_and_moves_evenly_spread_and_by_the_same_seed_the_same() -> None:
    blows = history_soak.schedule(3, 1_000_000, kills=50, moves=20)
    done = Counter(blow.what for blow in blows)
    assert (done["kill"] + done["both"], done["move"] + done["both"]) == (50, 20)
    assert done["both"] > 0
    steps = {later.at - blow.at for blow, later in pairwise(blows)}
    assert max(steps) - min(steps) <= 1
    assert 0 < blows[0].at < blows[-1].at < 1_000_000
    assert blows == history_soak.schedule(3, 1_000_000, kills=50, moves=20)


@pytest.mark.parametrize(
    ("counts", "good"),
    [({"same": 10, "differ": 0}, True), ({"same": 9, "differ": 1}, False), ({"same": 9, "differ": 0}, False)],
)
def test_a_soak_of_histories_is_good_if_all_were_compared_and_none_differs(
    counts: dict[str, int], good: bool
) -> None:
    assert history_soak.Outcome(1, Counter(), 10, 1.0, counts, 5, [0.1]).good is good


def test_a_soak_kills_every_part_at_least_twice_and_by_the_same_seed_the_same() -> None:
    deaths = schedule(1, 600, procfile.read())
    killed = Counter(death.part for death in deaths)
    assert killed.keys() == procfile.read().keys() - {"generator"}
    assert min(killed.values()) >= 2
    assert all(5 <= death.dead_for <= 15 for death in deaths)
    assert all(later.at - death.at == EVERY for death, later in pairwise(deaths))
    assert schedule(1, 600, procfile.read()) == deaths
    assert schedule(2, 600, procfile.read()) != deaths


def test_more_workers_than_before_are_gone_at_the_end_of_an_exercise(monkeypatch: pytest.MonkeyPatch) -> None:
    workers = [1]
    monkeypatch.setattr(stack, "current_scale", lambda _: workers[-1])
    monkeypatch.setattr(stack, "scale", lambda _, count: workers.append(count))
    monkeypatch.setattr(processes, "states", dict)
    faults = Faults(lambda _: None)
    faults.restore()
    faults.scale("transactions", 2)
    faults.scale("transactions", 3)
    faults.restore()
    assert workers == [1, 2, 3, 1]


def restarted(**changed: Any) -> rolling_restart_report.Outcome:
    """A rolling restart of a worker in which all went well, but for what is changed."""
    answers = [Answer(f"id{n}", 201, n * 0.1, n * 0.1, n * 0.1 + 0.01) for n in range(100)]
    usual: dict[str, Any] = {
        "rate": 10.0,
        "began": 0.0,
        "restarts": [rolling_restart_report.Restart("transactions", 2.0, 5.0, 1.5)],
        "answers": answers,
        "published": {f"id{n}": n * 0.1 + 0.2 for n in range(100)},
        "counts": soak_report.Counts(0, 0, 0, 0, 0, 0),
        "wrong": [],
    }
    return rolling_restart_report.Outcome(**{**usual, **changed})


def test_a_rolling_restart_is_good_if_no_post_failed_nothing_is_lost_or_twice_and_verdicts_came_in_time() -> (
    None
):
    good = restarted()
    assert good.good
    assert "| transactions | 1.5 s | 30, 0 | 200 ms |" in rolling_restart_report.text(good)
    failed = [*good.answers, Answer(None, 503, 1.0, 1.0, 2.8, "503 Not acknowledged")]
    late = {id_: at + 2 for id_, at in good.published.items()}
    wrongs: list[dict[str, Any]] = [
        {"answers": failed},
        {"published": late},
        {"counts": soak_report.Counts(1, 0, 0, 0, 0, 0)},
        {"counts": soak_report.Counts(0, 1, 0, 0, 0, 0)},
        {"wrong": ["missing in the log"]},
        {"answers": [], "published": {}},
    ]
    for wrong in wrongs:
        assert not restarted(**wrong).good, wrong
    assert "| failed | 0 |" in rolling_restart_report.text(good)
    assert "| failed | 1: 1 x 503 Not acknowledged |" in rolling_restart_report.text(
        restarted(answers=failed)
    )
