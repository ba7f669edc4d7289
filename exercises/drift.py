"""The world changes: prices have doubled since midnight.

A model knows the world that it was trained on. Here the two days after training of that very world are played,
with the history of each customer: no index of drift reaches 0.25. Then the third day is played, on which everything
costs twice as much: within 10 minutes an index is over 0.25. The indices are read from the replicas' own /metrics.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.request import urlopen

import grpc
from prometheus_client.parser import text_string_to_metric_families

from commerce.changes import dearer
from exercises.context import Context, say
from exercises.simulated import TRAINED, Played, after_training
from infra.native import ports, processes
from schemas.proto import antifraud_pb2_grpc as pb_grpc

MODEL = "v2-50dffdac"
REPLICAS = ("antifraud-1", "antifraud-2")
LIMIT, WITHIN = 0.25, 600.0  # of the index; seconds
RATE, BATCH = 300.0, 50  # transactions a second, and a call
ALERT, FIRES_WITHIN = "InputsDrifted", 240.0
CONTROL = "the replicas have nothing to compare with: the model lies there without its distribution.json."
OLD = "no such exercise"


class Index(NamedTuple):
    """The highest index of one replica, 0 and no name while it has none; and how many transactions it is of."""

    replica: str
    value: float
    name: str
    records: int


def run(context: Context) -> None:
    """Play days of the same world, then a day on which prices have doubled; look at the indices."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {"ANTIFRAUD_MODEL": MODEL}
        if context.control:
            settings["ANTIFRAUD_MODELS"] = _without_distributions(Path(folder))
        context.faults.replace(*REPLICAS, settings=settings)
    context.step(
        f"Three days of the world that {MODEL} was trained on are simulated, the last with prices doubled"
    )
    played = after_training(MODEL, 3, dearer)
    say(
        f"  {played.last_day} transactions on the first two days, {len(played) - played.last_day} on the third"
    )
    _same_world(context, played)
    _changed_world(context, played)


def _same_world(context: Context, played: Played) -> None:
    context.step(f"48 hours of the same world, at {_rate(context):.0f} transactions a second")
    looks = [look for _, looks in _play(context, played, 0, played.last_day) for look in looks]
    worst = max(looks, key=lambda look: look.value)
    context.promise(
        f"48 hours of the same world: no index reaches {LIMIT}",
        bool(worst.name) and worst.value < LIMIT,
        f"the highest: {worst.value:.2f}, {worst.name or 'none there'}",
    )


def _changed_world(context: Context, played: Played) -> None:
    context.step("The third day: prices have doubled")
    began, seen = context.now(), None
    for row, looks in _play(context, played, played.last_day, len(played)):
        highest = max(looks, key=lambda look: look.value)
        if seen is None and highest.value > LIMIT:
            seen = (highest, context.now() - began, row - played.last_day)
    said = "not seen"
    if seen:
        highest, took, rows = seen
        said = (
            f"{highest.name} {highest.value:.2f} at {highest.replica} after {took:.0f} s, {rows} transactions"
        )
    context.promise(
        f"a changed world: an index is over {LIMIT} within 10 minutes",
        seen is not None and seen[1] < WITHIN,
        said,
    )
    for name, value in sorted(_indices(REPLICAS[0]).items(), key=lambda one: -one[1])[:5]:
        say(f"  {REPLICAS[0]} at the end of the day: {name:<28}{value:.2f}")
    if "prometheus" in processes.states() and not context.control:
        fires = context.until(_alert_fires, FIRES_WITHIN)
        context.promise(f"the alert {ALERT} fires in Prometheus", fires)


def _play(context: Context, played: Played, start: int, end: int) -> Iterator[tuple[int, list[Index]]]:
    """Ask through Envoy about these rows, at the rate; about each second, the last row and what the replicas say."""
    rate, began, looked = _rate(context), context.now(), context.now()
    with grpc.insecure_channel(str(ports.endpoints("envoy")[0]), [("grpc.enable_http_proxy", 0)]) as channel:
        stub = pb_grpc.AntifraudAPIStub(channel)
        for row in range(start, end, BATCH):
            stub.AntifraudAssesmentBatch(
                played.request(row, min(row + BATCH, end)), timeout=10, wait_for_ready=True
            )
            context.watch(max(0.0, began + (row - start) / rate - context.now()))
            if context.now() > looked + 1:
                looked = context.now()
                yield row, _looks(played, row)
    context.watch(2.5)  # the replicas count each 2 s
    yield end, _looks(played, end - 1)


def _looks(played: Played, row: int) -> list[Index]:
    looks = [_look(replica) for replica in REPLICAS]
    shown = "   ".join(
        f"{one.replica}: {one.records:5d} looked at, {f'{one.value:.2f} {one.name}' if one.name else '-':<32}"
        for one in looks
    )
    say(f"  {played.hour(row):5.1f} h  {shown}".rstrip())
    return looks


def _look(replica: str) -> Index:
    found = _indices(replica)
    name = max(found, key=lambda one: found[one], default="")
    records = sum(_samples(replica, "payments_antifraud_psi_records").values())
    return Index(replica, found.get(name, 0.0), name, int(records))


def _indices(replica: str) -> dict[str, float]:
    return _samples(replica, "payments_antifraud_psi")


def _samples(replica: str, metric: str) -> dict[str, float]:
    """Return a metric by its label `input`, as the replica itself says it."""
    with urlopen(f"http://{ports.endpoints(replica)[1]}/metrics", timeout=5) as response:
        families = text_string_to_metric_families(response.read().decode())
    return {
        sample.labels.get("input", ""): sample.value
        for family in families
        for sample in family.samples
        if sample.name == metric
    }


def _alert_fires() -> bool:
    with urlopen(f"http://{ports.endpoints('prometheus')[0]}/api/v1/alerts", timeout=5) as response:
        alerts = json.loads(response.read())["data"]["alerts"]
    return any(one["labels"]["alertname"] == ALERT and one["state"] == "firing" for one in alerts)


def _without_distributions(folder: Path) -> str:
    """Copy the models, each without what its training was like."""
    for file in [TRAINED / "model.json", *TRAINED.glob("*/model.json")]:
        copy = folder / file.relative_to(TRAINED)
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(file, copy)
    return str(folder)


def _rate(context: Context) -> float:
    return RATE * 5 if context.short else RATE
