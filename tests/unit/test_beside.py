"""`make up WITH=…`: what runs beside the stack, and what Prometheus is told to ask."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from infra.native import beside, ports, procfile, prometheus, serve, supervisor
from infra.native.wording import WrongWord

FOLDER = Path(__file__).parents[2] / "infra" / "prometheus"


def test_without_a_word_nothing_runs_beside_the_stack() -> None:
    assert beside.chosen("") == []


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        WrongWord, match="nothing that can run beside the stack is called grafana; say WITH=prometheus"
    ):
        beside.chosen("prometheus,grafana")


def test_a_missing_program_is_one_line_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(SystemExit) as refused:
        beside.chosen("prometheus")
    assert str(refused.value).startswith(
        "WITH=prometheus needs the program prometheus: apt install prometheus"
    )
    assert "\n" not in str(refused.value)


def test_what_is_there_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert beside.chosen("prometheus") == ["prometheus"]


@pytest.mark.parametrize("name", beside.COMMANDS)
def test_it_is_a_part_like_the_others_but_not_of_the_procfile(name: str) -> None:
    assert procfile.command(name) == beside.COMMANDS[name]
    assert name not in procfile.read()
    assert name in serve.SERVERS or beside.COMMANDS[name] == f"python -m infra.native.{name}"
    assert ports.endpoints(name)


def test_the_word_itself_is_no_setting_of_a_part() -> None:
    assert not supervisor.is_passed_on("WITH")


def asked(*parts: str) -> dict[str, str]:
    """Part -> URL."""
    found = {}
    for one in prometheus.targets(parts):
        (address,) = one["targets"]
        path = one["labels"].get("__metrics_path__", "/metrics")
        found[one["labels"]["instance"]] = f"http://{address}{path}"
    return found


def test_every_process_of_ours_is_asked_and_envoy_too() -> None:
    assert asked(*procfile.names(counts={"transactions": 2})) == {
        "antifraud-1": "http://127.0.0.1:5014/metrics",
        "antifraud-2": "http://127.0.0.1:5013/metrics",
        "envoy": "http://127.0.0.1:9901/stats/prometheus",
        "bff": "http://127.0.0.1:5001/metrics",
        "transactions": "http://127.0.0.1:5002/metrics",
        "transactions-2": "http://127.0.0.1:5012/metrics",
        "generator": "http://127.0.0.1:5016/metrics",
    }


def test_in_the_other_mode_the_one_worker_is_asked() -> None:
    assert {"bff", "transactions"}.isdisjoint(asked(*procfile.names("combined")))
    assert asked(*procfile.names("combined"))["main"] == "http://127.0.0.1:5001/metrics"


def test_the_management_port_of_a_worker_is_asked_where_it_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANAGEMENT_PORT", "5007")
    assert asked("bff")["bff"] == asked("main")["main"] == "http://127.0.0.1:5007/metrics"
    assert asked("bff-2")["bff-2"] == "http://127.0.0.1:5017/metrics"
    assert asked("transactions")["transactions"] == "http://127.0.0.1:5008/metrics"


def test_a_port_for_metrics_is_the_one_that_the_procfile_gives() -> None:
    for name, variable in (
        ("antifraud-1", "ANTIFRAUD"),
        ("antifraud-2", "ANTIFRAUD"),
        ("generator", "GENERATOR"),
    ):
        port = asked(name)[name].split(":")[2].split("/")[0]
        assert f"{variable}_METRICS_PORT={port} " in procfile.command(name)


def test_containers_are_asked_as_processes_are() -> None:
    containers = json.loads((FOLDER / "targets.json").read_text())
    native = prometheus.targets([*procfile.names(), "prometheus"])
    for one in native:
        (address,) = one["targets"]
        one["targets"] = [address.replace("127.0.0.1", one["labels"]["instance"])]
    assert containers == native


def test_the_parts_that_the_supervisor_knows_are_written_for_prometheus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prometheus, "SUPERVISOR", tmp_path)
    prometheus.write_targets(["bff", "kafka", "transactions-2"])
    (job,) = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
    (file,) = job["file_sd_configs"][0]["files"]
    written = json.loads((tmp_path / "prometheus" / file).read_text())
    assert [one["labels"]["instance"] for one in written] == ["bff", "transactions-2"]
