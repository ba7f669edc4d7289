"""One Kafka broker or three: what the launcher makes of KAFKA=3, and what data of the other number do to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.settings import Settings
from infra.native import brokers, kafka, ports, supervisor

THREE = "127.0.0.1:9092,127.0.0.1:9102,127.0.0.1:9112"


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of data, empty."""
    for module in (brokers, ports):
        monkeypatch.setattr(module, "BROKERS", tmp_path / "data" / "brokers")
    monkeypatch.setattr(brokers, "DATA", tmp_path / "data")
    monkeypatch.delenv("KAFKA_BROKERS", raising=False)
    return tmp_path / "data"


def with_data_of(data: Path, number: int) -> None:
    brokers.decide(number)
    (data / "kafka").mkdir(parents=True)
    (data / "kafka" / brokers.FORMATTED).touch()


@pytest.mark.parametrize(("text", "number"), [("", None), ("1", 1), ("3", 3)])
def test_one_or_three_may_be_asked_for(text: str, number: int | None) -> None:
    assert brokers.checked(text) == number


@pytest.mark.parametrize("text", ["2", "0", "-1", "three", "3.0"])
def test_another_number_is_answered_with_those_that_there_may_be(text: str) -> None:
    with pytest.raises(SystemExit, match=rf"KAFKA={text}: say KAFKA=1 or KAFKA=3"):
        brokers.checked(text)


def test_data_of_one_broker_are_refused_to_three_with_what_to_do(data: Path) -> None:
    with_data_of(data, 1)
    brokers.decide(None)
    brokers.decide(1)
    with pytest.raises(
        SystemExit, match=r"are of 1 Kafka broker; for 3, .* make clean, then make up KAFKA=3"
    ):
        brokers.decide(3)
    assert brokers.count() == 1


def test_data_of_three_brokers_stay_so(data: Path) -> None:
    with_data_of(data, 3)
    brokers.decide(None)
    with pytest.raises(SystemExit, match="are of 3 Kafka brokers; for 1"):
        brokers.decide(1)
    assert brokers.count() == 3


def test_before_there_are_data_the_number_may_be_changed() -> None:
    brokers.decide(3)
    brokers.decide(1)
    assert (brokers.count(), brokers.environment()) == (1, {})


def test_the_parts_are_told_of_all_three_and_make_topics_with_as_many_replicas() -> None:
    brokers.decide(3)
    assert brokers.environment() == {"KAFKA_BROKERS": THREE, "TOPIC_REPLICATION": "3"}
    assert ports.kafka_brokers() == THREE


def test_what_the_user_has_set_is_not_overwritten(monkeypatch: pytest.MonkeyPatch) -> None:
    brokers.decide(3)
    monkeypatch.setenv("KAFKA_BROKERS", "kafka:19092")
    assert ports.kafka_brokers() == "kafka:19092"
    assert not supervisor.is_passed_on("KAFKA"), "the number is for make, not for the parts"


def test_three_nodes_vote_together_and_each_listens_for_itself(tmp_path: Path) -> None:
    brokers.decide(3)
    voters = "1@127.0.0.1:9093,2@127.0.0.1:9103,3@127.0.0.1:9113"
    for node, (client, controller) in {1: (9092, 9093), 2: (9102, 9103), 3: (9112, 9113)}.items():
        lines = kafka.properties(node, tmp_path).splitlines()
        last = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
        assert last["node.id"] == str(node)
        assert last["listeners"] == f"PLAINTEXT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}"
        assert last["controller.quorum.voters"] == voters
        assert (last["min.insync.replicas"], last["default.replication.factor"]) == ("2", "3")
        assert last["transaction.state.log.replication.factor"] == "3"
        assert last["offsets.topic.replication.factor"] == "3"


def test_a_single_node_has_what_it_always_had(tmp_path: Path) -> None:
    lines = kafka.properties(1, tmp_path).splitlines()
    assert "controller.quorum.voters=1@127.0.0.1:9093" in lines
    assert not any(line.startswith("min.insync.replicas") for line in lines)


def test_what_all_replicas_must_acknowledge_waits_for_none_that_asked_a_new_leader_too_early(
    tmp_path: Path,
) -> None:
    """It asks again after a while, perhaps too early once more: a POST that waits meanwhile is answered."""
    brokers.decide(3)
    lines = kafka.properties(1, tmp_path).splitlines()
    last = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    assert 3 * int(last["replica.fetch.backoff.ms"]) / 1000 < 0.1 * Settings().publish_timeout
