"""The model meets a new kind of fraud, and another model takes its place, with nobody turned away for it.

Stolen cards are tried out with tiny amounts. Each of these purchases is ordinary by itself, so the old model, which
sees one transaction at a time, accepts them. Labels arrive, and `evaluate` shows it. `backtest` says what the new
model, which knows each customer's history, would have decided of the very same transactions; it runs in the shadow;
then it takes over, replica by replica, under load.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from exercises import checks
from exercises.calls import call, wrapped
from exercises.context import Context, said_in_json, say
from exercises.load_client import LoadClient, post_each
from exercises.stolen_cards import customers, habits, ordinary, theft
from generator.client import PATH
from generator.traffic import Transaction
from reconciliation import readers
from reconciliation.readers import bff_url

REPLICAS = ("antifraud-1", "antifraud-2")
OLD_MODEL, NEW_MODEL = "v1-bed411ce", "v2-50dffdac"
UNASSESSED = "antifraud_unavailable"
WAVE_RATE, AT_A_TIME = 40.0, 8
BOTH_AWAY = 7.0  # seconds that a start may take on a busy machine; the worker is patient for 5
LET_THROUGH, CAUGHT = 0.9, 0.6  # of the thefts, by the old model and by the new one, at least
ANNOYED = 0.02  # of the genuine, by the new one, at most
CONTROL = f"both replicas are stopped at once for the switch, and are away for {BOTH_AWAY:.0f} s."
OLD = "one model, part of the program: another one was another release, with both replicas down"


def run(context: Context) -> None:
    """The old model, labels, a backtest, the shadow, the switch, the new model."""
    context.step("Both replicas decide with the old model")
    _replicas_with(context, {"ANTIFRAUD_MODEL": OLD_MODEL})
    with context.clients(bodies=ordinary(customers(100))) as clients:
        context.watch(2)
        _let_through(context, clients)
        _in_the_shadow(context, clients)
        _switched(context, clients)
        _caught(context, clients)
    context.count(clients.ids)


def _replicas_with(context: Context, settings: dict[str, str]) -> None:
    """One after the other: there is always one that serves."""
    for replica in REPLICAS:
        context.faults.replace(replica, settings=settings)


def _wave(context: Context, clients: LoadClient) -> tuple[list[str], list[str]]:
    """Cards are stolen and tried out: the ids of what their owners bought before, and of the thefts; all decided."""
    robbed = customers(int(context.seconds(20, 10)))
    before, thefts = (_posted(clients, some) for some in (habits(robbed), theft(robbed)))
    context.until(lambda: len(_published([*before, *thefts])) == len(before) + len(thefts), 60)
    return before, thefts


def _posted(clients: LoadClient, bodies: Sequence[Transaction]) -> list[str]:
    sent = asyncio.run(post_each(bff_url(), bodies, WAVE_RATE))
    clients.answers.extend(sent.answers)
    return sent.ids


def _published(ids: Collection[str]) -> dict[str, list[readers.Verdict]]:
    return asyncio.run(readers.published(ids))


def _rejected(ids: Collection[str]) -> list[str]:
    return [id_ for id_, verdicts in _published(ids).items() if verdicts[-1].status == "rejected"]


def _let_through(context: Context, clients: LoadClient) -> None:
    context.step("Cards are stolen and tried out; days later their owners notice")
    since, first = _now(), len(clients.ids)
    _, thefts = _wave(context, clients)
    passed = len(thefts) - len(_rejected(thefts))
    say(f"  {passed} of {len(thefts)} thefts were accepted")
    context.promise(
        "the old model lets the new kind of fraud through",
        passed >= LET_THROUGH * len(thefts) > 0,
        f"{passed} of {len(thefts)} accepted",
    )
    genuine = sorted({*clients.ids[first:]} - {*thefts})
    _labelled(thefts, "fraud")
    _labelled(genuine, "genuine")
    _evaluated(context, since, len(thefts))
    _decided_anew(context, since, _now(), len(thefts))


def _labelled(ids: Sequence[str], label: str) -> None:
    """As chargebacks and analysts say it, one POST for each."""

    def post(id_: str) -> int:
        return call("POST", f"{PATH}/{id_}/label", json.dumps({"label": label}))[0]

    with ThreadPoolExecutor(AT_A_TIME) as several:
        taken = sum(status in (200, 201) for status in several.map(post, ids))
    say(f"  labelled {label}: {taken} of {len(ids)}")


def _evaluated(context: Context, since: str, thefts: int) -> None:
    say(f"  faust -A app.main evaluate --since {since}")
    said = said_in_json("evaluate", "--since", since)
    recall = said["recall"]
    say(f"  {said['accepted']['fraud']} known frauds were accepted, {said['rejected']['fraud']} rejected")
    context.promise(
        "evaluate shows it: hardly any known fraud was rejected",
        said["accepted"]["fraud"] + said["rejected"]["fraud"] == thefts and recall <= 1 - LET_THROUGH,
        f"recall {recall:.3f}",
    )


def _decided_anew(context: Context, since: str, until: str, thefts: int) -> None:
    said = _backtest(since, until)
    newly = said["newly_rejected"]
    caught, annoyed = (newly[which]["transactions"] for which in ("fraud", "genuine"))
    genuine = said["genuine"]["transactions"]
    say(
        f"  {NEW_MODEL} would have rejected {caught} of {thefts} thefts, and {annoyed} of {genuine} genuine ones"
    )
    context.promise(
        "the backtest shows a model that would have caught it, and annoyed next to nobody",
        caught >= CAUGHT * thefts and annoyed <= ANNOYED * genuine,
        f"{caught} of {thefts} caught, {annoyed} of {genuine} annoyed",
    )


def _backtest(since: str, until: str) -> dict[str, Any]:
    say(f"  faust -A app.main backtest --model {NEW_MODEL} --since {since} --until {until}")
    return said_in_json("backtest", "--model", NEW_MODEL, "--since", since, "--until", until)


def _in_the_shadow(context: Context, clients: LoadClient) -> None:
    context.step("The new model is scored beside the old one, and decides nothing")
    _replicas_with(context, {"ANTIFRAUD_MODEL": OLD_MODEL, "ANTIFRAUD_SHADOW": NEW_MODEL})
    since = _now()
    _, thefts = _wave(context, clients)
    until = _now()
    say(f"  faust -A app.main disagreements --since {since} --until {until}")
    beside = said_in_json("disagreements", "--since", since, "--until", until)
    anew = _backtest(since, until)
    found = [one["newly_rejected"]["total"]["transactions"] for one in (beside, anew)]
    say(
        f"  of {beside['compared']} the new model would have rejected {found[0]} more, by the backtest {found[1]}"
    )
    context.promise(
        "on record beside each verdict is what a backtest says, and it decides nothing",
        beside["newly_rejected"] == anew["newly_rejected"] and found[0] >= CAUGHT * len(thefts) > 0
        and len(_rejected(thefts)) <= (1 - LET_THROUGH) * len(thefts),
        f"{found[0]} disagreements, {found[1]} by the backtest",
    )  # fmt: skip


def _switched(context: Context, clients: LoadClient) -> None:
    context.step("The new model decides, replica by replica")
    since, settings = context.now(), {"ANTIFRAUD_MODEL": NEW_MODEL}
    if context.control:
        context.faults.replace(*REPLICAS, settings=settings, start=False)
        context.watch(BOTH_AWAY)
        context.faults.back(*REPLICAS)
    else:
        _replicas_with(context, settings)
    context.watch(context.seconds(4, 2))
    checks.caught_up(context, clients, "after the switch")
    checks.served(context, clients, since, "during the switch")
    ids = [post.transaction_id for post in clients.posts(since) if post.transaction_id]
    published = _published(ids)
    without = sum(verdicts[-1].reason == UNASSESSED for verdicts in published.values())
    context.promise(
        "nobody is rejected for the switch: each transaction was assessed",
        len(published) > 0 and not without,
        f"{without} of {len(published)} rejected without an assessment",
    )
    mixed, models = asyncio.run(_mixed(ids))
    context.promise(
        "one model decides a micro-batch, and both were at work",
        not mixed and (context.control or models >= {OLD_MODEL, NEW_MODEL}),
        f"{mixed} mixed; {', '.join(sorted(models))}",
    )


async def _mixed(ids: Collection[str]) -> tuple[int, set[str]]:
    """How many moments have verdicts of two models (a micro-batch is decided at one), and which models there are."""
    batches: dict[int, set[str]] = {}
    async for record in readers.records("transaction_status", ids):
        if record["model_version"]:
            batches.setdefault(record["decided_at"], set()).add(record["model_version"])
    return sum(len(models) > 1 for models in batches.values()), set().union(*batches.values())


def _caught(context: Context, clients: LoadClient) -> None:
    context.step("Cards are stolen and tried out once more")
    before, thefts = _wave(context, clients)
    rejected, annoyed = _rejected(thefts), _rejected(before)
    shown = [_shown(id_) for id_ in rejected]
    without = sum(not one.get("reasons") for one in shown)
    say(
        f"  {len(rejected)} of {len(thefts)} thefts are rejected, {len(annoyed)} of {len(before)} ordinary purchases"
    )
    for one in shown[-1:]:
        words = "; ".join(reason["words"] for reason in one["reasons"] or ())
        say(wrapped(f"GET of {one['transaction_id']}: {words}"))
    context.promise(
        "the new model rejects it, and says why",
        len(rejected) >= CAUGHT * len(thefts) > 0 and not without and len(annoyed) <= ANNOYED * len(before),
        f"{len(rejected)} of {len(thefts)} rejected, {without} of them without a reason",
    )


def _shown(id_: str) -> dict[str, Any]:
    status, said = call("GET", f"{PATH}/{id_}")
    return dict(json.loads(said)) if status == 200 else {"transaction_id": id_, "reasons": []}


def _now() -> str:
    """As commands take a time."""
    return datetime.now(UTC).isoformat()
