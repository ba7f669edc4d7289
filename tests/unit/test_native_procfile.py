"""The Procfile: parts, forms, scale, order."""

import pytest

from infra.native import procfile

LINES = "# servers\nkafka: serve kafka\n\nenvoy: serve envoy\nbff: faust -A app.bff worker\n"


def test_a_line_is_a_name_and_a_command() -> None:
    assert procfile.parse(LINES) == {
        "kafka": "serve kafka",
        "envoy": "serve envoy",
        "bff": "faust -A app.bff worker",
    }


@pytest.mark.parametrize("line", ["no colon", "name:", "two words: command", "kafka: again"])
def test_a_line_that_is_none_is_reported_with_its_number(line: str) -> None:
    with pytest.raises(SystemExit, match="Procfile, line 6"):
        procfile.parse(LINES + line)


def test_our_procfile_has_the_twelve_parts() -> None:
    assert " ".join(procfile.names()) == (
        "kafka registry cassandra-1 cassandra-2 cassandra-3 redis "
        "antifraud-1 antifraud-2 envoy bff transactions generator"
    )


def test_form_one_has_one_worker_in_place_of_two() -> None:
    names = procfile.names("combined")
    assert set(procfile.names()) ^ set(names) == {"bff", "transactions", "main"}
    assert procfile.command("main") == "faust -A app.main worker --loglevel info"


def test_a_further_worker_runs_the_same_command_with_a_name_and_a_port_of_its_own() -> None:
    names = procfile.names(counts={"transactions": 3, "bff": 2})
    assert names[names.index("transactions") :][:3] == ["transactions", "transactions-2", "transactions-3"]
    assert procfile.command("transactions-3") == procfile.command("transactions")
    assert procfile.environment("transactions-2") == {
        "WEB_PORT": "5012",
        "WORKER_INSTANCE": "transactions-2",
    }
    assert procfile.environment("transactions") == {}
    assert procfile.environment("bff-2") == {"WEB_PORT": "5011", "WORKER_INSTANCE": "bff-2"}
    assert procfile.names("combined", {"transactions": 3, "bff": 2}) == procfile.names("combined")


def test_a_further_bff_has_a_management_port_of_its_own_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANAGEMENT_PORT", "5007")
    assert procfile.environment("bff-2")["MANAGEMENT_PORT"] == "5017"
    assert "MANAGEMENT_PORT" not in procfile.environment("kafka")


def test_the_transactions_workers_have_management_ports_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANAGEMENT_PORT", "5007")
    assert procfile.environment("transactions") == {"MANAGEMENT_PORT": "5008"}
    assert procfile.environment("transactions-2")["MANAGEMENT_PORT"] == "5018"


def test_a_further_broker_is_told_which_it_is() -> None:
    assert procfile.names(counts={"kafka": 3})[:3] == ["kafka", "kafka-2", "kafka-3"]
    assert procfile.command("kafka-3") == procfile.command("kafka") + "-3"
    assert procfile.environment("kafka-3") == {}


def test_servers_start_before_those_who_need_them_and_the_generator_last() -> None:
    order = sorted(procfile.names(counts={"transactions": 2, "kafka": 3}), key=procfile.stage)
    assert order.index("cassandra-3") < order.index("antifraud-1") < order.index("bff")
    assert order.index("transactions-2") < order.index("generator") == len(order) - 1


@pytest.mark.parametrize(
    ("name", "said"), [("", "say NAME="), ("casandra-2", "no part is called casandra-2")]
)
def test_a_missing_or_unknown_name_is_answered_with_the_names_in_one_line(name: str, said: str) -> None:
    with pytest.raises(SystemExit, match=said) as refused:
        procfile.check(name, procfile.names())
    assert str(refused.value).endswith(" ".join(procfile.names()))
    assert "\n" not in str(refused.value)
