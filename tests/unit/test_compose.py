"""docker-compose.yml: it matches the specification and agrees with the Procfile, the ports and the settings."""

from __future__ import annotations

import re
import shlex

import pytest

from antifraud.settings import Settings as AntifraudSettings
from app.settings import Settings, without_secrets
from infra.native import ports, procfile
from tests.support import compose, image

SERVICES = compose.services()
LOCAL = compose.read("docker-compose.local.yml")["services"]
#: Started only with their profile; Grafana is in no registry of programs, so it runs in containers alone.
TELEMETRY = {"prometheus", "grafana"}
#: Published, and no address of a process that others call: Grafana's page, the generator's metrics.
BESIDE = {"grafana": [("127.0.0.1", 3000)], "generator": [("127.0.0.1", 5016)]}
OURS = ("antifraud-1", "antifraud-2", "bff", "transactions", "generator")

#: Read by the launcher's probes and the generator, not by an app.
ELSEWHERE = {"BFF_URL", "GENERATOR_LISTEN_HOST", "GENERATOR_METRICS_PORT", "GENERATOR_PROFILE"}


def native_name(service: str) -> str:
    return service.replace("scylla-", "cassandra-")


def published(service: str) -> list[tuple[str, int, int]]:
    """Each published port: this machine's address and port, the container's port."""
    found = [text.split(":") for text in SERVICES[service].get("ports", [])]
    return [(host, int(outside), int(inside)) for host, outside, inside in found]


def test_it_matches_the_compose_specification() -> None:
    compose.check("compose-spec", compose.read())


def test_it_has_the_twelve_processes_of_the_procfile() -> None:
    assert sorted(map(native_name, SERVICES.keys() - TELEMETRY)) == sorted(procfile.read())


def test_what_only_watches_is_started_only_when_asked_for() -> None:
    assert {name for name, one in SERVICES.items() if one.get("profiles") == ["telemetry"]} == TELEMETRY
    assert not [name for name, one in SERVICES.items() if "profiles" in one and name not in TELEMETRY]


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_has_its_services_name(name: str) -> None:
    assert SERVICES[name]["container_name"] == name


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_published_where_its_process_listens(name: str) -> None:
    # Between servers only: the controller's port of Kafka, the storage port of a Cassandra node.
    inside_only = {"kafka": 9093}.get(name, 7000)
    expected = [e for e in ports.endpoints(native_name(name)) if e.port != inside_only] or BESIDE[name]
    assert [(host, outside) for host, outside, _ in published(name)] == expected
    assert all(outside == inside for _, outside, inside in published(name))


@pytest.mark.parametrize("name", SERVICES)
def test_nothing_is_published_beyond_this_machine(name: str) -> None:
    assert all(host.startswith("127.") for host, _, _ in published(name))


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_checked_bounded_and_never_restarted(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == "no"
    assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    assert re.fullmatch(r"\d+[mg]", service["mem_limit"])


@pytest.mark.parametrize("name", [name for name in SERVICES if name not in OURS])
def test_a_third_party_image_has_a_plain_name_and_one_version(name: str) -> None:
    assert re.fullmatch(r"([a-z]+/)?[a-z-]+:v?\d+\.\d+\.\d+(-alpine)?", SERVICES[name]["image"])


@pytest.mark.parametrize("name", OURS)
def test_our_services_run_the_procfiles_commands(name: str) -> None:
    words = shlex.split(procfile.read()[name])
    said = dict(word.split("=", 1) for word in words[1:] if "=" in word) if words[0] == "env" else {}
    command = words[1 + len(said) :] if said else words
    assert shlex.split(SERVICES[name]["command"]) == command
    assert said.items() <= compose.environment(name).items()
    wanted = {"context": ".", "args": {"PACKAGES": "antifraud"}} if name.startswith("antifraud") else "."
    assert SERVICES[name]["build"] == wanted


@pytest.mark.parametrize("name", OURS)
def test_our_services_environment_is_settings_as_text(name: str) -> None:
    fields = vars(AntifraudSettings()) if name.startswith("antifraud") else Settings.model_fields
    said = compose.environment(name)
    assert {key for key in said if key.lower() not in fields} <= ELSEWHERE
    assert all(isinstance(value, str) for value in said.values())


@pytest.mark.parametrize("name", ["bff", "transactions"])
def test_the_settings_accept_the_environment(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    said = compose.environment(name)
    for key, value in said.items():
        monkeypatch.setenv(key, value)
    taken = Settings()
    assert {key: without_secrets(getattr(taken, key.lower())) for key in said} == said
    # With the names of services put back to loopback nothing but the listener and a volume differs from the defaults.
    own = {"LISTEN_HOST", "HISTORY_DIR", "ALLOW_INSECURE"}
    assert {k: v for k, v in compose.native_environment(name).items() if k not in own} == {
        key: without_secrets(Settings.model_fields[key.lower()].default) for key in said if key not in own
    }


@pytest.mark.parametrize("name", OURS)
def test_a_service_that_ours_call_exists(name: str) -> None:
    parts = [part for text in _addresses(name) for part in text.split(",")]
    hosts = [re.sub(r"^\w+://", "", part).partition(":")[0] for part in parts]
    assert set(hosts) <= set(SERVICES)
    assert hosts or name.startswith("antifraud")


def _addresses(name: str) -> list[str]:
    parts = ("_BROKERS", "_URL", "_HOSTS", "_ADDRESS")
    return [value for key, value in compose.environment(name).items() if key.endswith(parts)]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_starts_when_its_dependencies_are_healthy(name: str) -> None:
    for needed, how in SERVICES[name].get("depends_on", {}).items():
        assert needed in SERVICES
        assert how == {"condition": "service_healthy"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_mounted_file_is_the_one_in_infra(name: str) -> None:
    for volume in SERVICES[name].get("volumes", []):
        source, _, rest = volume.partition(":")
        if source.startswith("."):
            assert (compose.ROOT / source).exists()
            assert source.startswith("./infra/")
            assert rest.endswith(":ro")
        else:
            assert source in compose.read()["volumes"]


@pytest.mark.parametrize(
    "name", ["kafka", "registry", "scylla-1", "scylla-2", "scylla-3", "redis", "prometheus"]
)
def test_data_outlive_the_container(name: str) -> None:
    assert any(volume.startswith(f"{name}:/") for volume in SERVICES[name]["volumes"])


# docker-compose.local.yml, which is put over it


def test_the_local_file_matches_the_compose_specification() -> None:
    compose.check("compose-spec", compose.read("docker-compose.local.yml"))


def test_the_local_file_has_every_service_but_what_only_watches_and_no_other_name() -> None:
    assert set(LOCAL) == SERVICES.keys() - TELEMETRY
    assert not [name for name, one in LOCAL.items() if {"container_name", "ports", "volumes"} & one.keys()]


def test_locally_every_image_is_built_here_on_a_base_that_can_be_named() -> None:
    base = {"BASE": f"${{BASE:-{image.steps('ARG')[0].removeprefix('BASE=')}}}"}
    assert {name: LOCAL[name]["build"] for name in OURS} == {name: {"args": base} for name in OURS}
    built = {"context": "infra", "dockerfile": "containers/Dockerfile", "args": base}
    servers = [one for name, one in LOCAL.items() if name not in OURS]
    assert {(one["image"], one["pull_policy"]) for one in servers} == {("faust-payments-servers", "never")}
    assert [one["build"] for one in servers if "build" in one] == [built]  # one build makes it for all


@pytest.mark.parametrize("name", LOCAL)
def test_locally_none_is_root_and_none_writes_into_its_image(name: str) -> None:
    one = SERVICES[name] | LOCAL[name]
    assert one["read_only"] is True
    assert name in OURS or one["user"] == "nobody"  # the Dockerfile's user is nobody too


def test_the_default_base_is_the_same_for_all_images() -> None:
    here = (compose.ROOT / "infra/containers/Dockerfile").read_text()
    assert f"ARG {image.steps('ARG')[0]}\n" in here
