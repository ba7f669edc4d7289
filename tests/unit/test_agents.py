"""Which steps a batch goes through, in which order: told, then stored, and only then finished."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from app.agents import statuses, transactions
from app.delivery import Delivery
from app.narration import Narrator
from app.settings import Settings


def steps(delivery: Delivery) -> list[str]:
    return [step.__name__ for step in delivery._steps]


def fakes() -> tuple[Any, Any]:
    app = SimpleNamespace(topic=lambda *_, **__: None, agent=lambda *_, **__: lambda function: function)
    resources = SimpleNamespace(settings=Settings(), antifraud=None)
    return app, resources


def test_a_transaction_is_decided_then_told_then_stored() -> None:
    app, resources = fakes()
    delivery = transactions.register(app, resources, Narrator(each=False))
    assert steps(delivery) == ["decide", "tell", "store"]


def test_a_status_goes_into_the_read_model_before_it_is_finished() -> None:
    assert steps(statuses.register(*fakes())) == ["remember"]
