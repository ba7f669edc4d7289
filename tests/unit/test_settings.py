"""The app's settings: read from the environment, checked at start, logged without secrets."""

import base64
import logging
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from pydantic import ValidationError

from app.errors import LogUnavailable
from app.messaging import topics
from app.settings import FORMER, PREFIX, Settings, described, settings
from infra.native import ports
from infra.native.wording import WrongWord

ROOT = Path(__file__).parents[2]
NUMBERS = sorted(
    name
    for name, field in Settings.model_fields.items()
    if isinstance(field.default, int | float) and not isinstance(field.default, bool)
)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the settings of the machine that runs the tests."""
    for name in Settings.model_fields:
        for variable in (PREFIX + name.upper(), name.upper(), FORMER.get(name, "-")):
            monkeypatch.delenv(variable, raising=False)


def said(monkeypatch: pytest.MonkeyPatch, **values: str) -> str:
    """What ends the process when these are set."""
    for name, value in values.items():
        monkeypatch.setenv(name.upper(), value)
    with pytest.raises(SystemExit) as caught:
        settings.__wrapped__()
    return str(caught.value.code)


def test_without_any_variable_everything_is_on_this_machine() -> None:
    values = Settings()
    assert (values.kafka_brokers, values.antifraud_address) == ("127.0.0.1:9092", "127.0.0.1:5005")
    assert (values.cassandra_hosts, values.cassandra_port) == ("127.0.0.1,127.0.0.2,127.0.0.3", 9042)
    assert values.redis_url.get_secret_value() == "redis://127.0.0.1:6379/0"
    assert values.listen_host == "127.0.0.1"
    assert values.schema_registry_url.get_secret_value() == "http://127.0.0.1:8081/apis/ccompat/v7"
    assert (values.topic_partitions, values.antifraud_unavailable_policy) == (4, "reject")


def test_each_setting_is_read_from_the_variable_of_its_name_in_capitals(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KAFKA_BROKERS", "kafka:19092")
    monkeypatch.setenv("WEB_PORT", "5012")
    monkeypatch.setenv("ANTIFRAUD_UNAVAILABLE_POLICY", "hold")
    values = Settings()
    assert (values.kafka_brokers, values.web_port) == ("kafka:19092", 5012)
    assert values.antifraud_unavailable_policy == "hold"


def test_the_name_with_the_prefix_wins_over_the_bare_one_and_that_over_the_former_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TELL_TIMEOUT", "1")
    assert Settings().status_publish_timeout == 1
    monkeypatch.setenv("STATUS_PUBLISH_TIMEOUT", "2")
    assert Settings().status_publish_timeout == 2
    monkeypatch.setenv("PAYMENTS_STATUS_PUBLISH_TIMEOUT", "3")
    assert Settings().status_publish_timeout == 3
    assert Settings(status_publish_timeout=4).status_publish_timeout == 4


@pytest.mark.parametrize("variable", ["PAYMENTS_LIVENESS_TIMEOUT", "LIVENESS_TIMEOUT", "STUCK_AFTER"])
def test_a_wrong_value_is_refused_by_the_name_it_was_given(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    assert said(monkeypatch, **{variable: "soon"}).startswith(f"Wrong setting: {variable}: ")


@pytest.mark.parametrize(("name", "former"), FORMER.items())
def test_a_former_name_is_still_read(monkeypatch: pytest.MonkeyPatch, name: str, former: str) -> None:
    before = getattr(Settings(), name)
    monkeypatch.setenv(former, "hold" if before == "reject" else "1" if before != 1 else "2")
    if name == "max_connections":
        monkeypatch.setenv(former, "10")
    assert getattr(Settings(), name) != before


def test_each_setting_says_what_it_is_for() -> None:
    assert not [name for name, field in Settings.model_fields.items() if not field.description]


@pytest.mark.parametrize("name", [*NUMBERS, "web_port"])
@pytest.mark.parametrize("value", ["many", "-1", "0", "1e18", "nan", "inf"])
def test_an_invalid_or_out_of_range_number_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    assert said(monkeypatch, **{name: value}).startswith(f"Wrong setting: {name.upper()}: ")


@pytest.mark.parametrize(
    ("name", "value"), [("antifraud_unavailable_policy", "guess"), ("log_each_transaction", "perhaps")]
)
def test_an_unknown_choice_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    assert said(monkeypatch, **{name: value}).startswith(f"Wrong setting: {name.upper()}: ")


def test_all_wrong_settings_are_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    text = said(monkeypatch, web_port="0", batch_size="none")
    assert "WEB_PORT" in text
    assert "BATCH_SIZE" in text


def test_a_process_with_a_wrong_setting_ends_with_one_line() -> None:
    code = "from app.settings import settings; settings()"
    environment = {**os.environ, "BODY_LIMIT": "huge"}
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert "BODY_LIMIT" in line


def test_a_setting_does_not_change_while_the_process_runs() -> None:
    with pytest.raises(ValidationError):
        Settings().web_port = 1  # type: ignore[misc]


def test_the_start_logs_what_differs_from_the_defaults() -> None:
    assert described(Settings()) == "all at their defaults"
    assert described(Settings(web_port=5012, batch_size=7)) == "PAYMENTS_WEB_PORT=5012, PAYMENTS_BATCH_SIZE=7"


@pytest.mark.parametrize(
    "url",
    [
        "redis://:hunter2@host/0",
        "rediss://user:hunter2@host:1/0",
        "redis://hunter2@host",
        "redis://:p@hunter2@host",
        "redis://a,b:hunter2@host",
        "redis://u:12/hunter2@host",
        "redis://:x@host/0?password=hunter2",
    ],
)
def test_the_start_logs_no_password(url: str) -> None:
    text = described(
        Settings(redis_url=url, schema_registry_url="https://me:hunter2@registry/v7", batch_size=7)
    )
    assert "hunter2" not in text
    assert "***@host" in text
    assert "***@registry" in text
    assert text.endswith("BATCH_SIZE=7")


def test_the_settings_show_no_password_however_they_are_printed() -> None:
    values = Settings(redis_url="redis://:hunter2@host/0", schema_registry_url="https://me:hunter2@registry")
    for text in (
        repr(values),
        str(values),
        str(values.model_dump()),
        values.model_dump_json(),
        f"{values.redis_url}",
    ):
        assert "hunter2" not in text
    assert values.redis_url.get_secret_value() == "redis://:hunter2@host/0"


def test_a_request_to_the_registry_is_not_logged_with_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    logger = logging.getLogger("httpx")
    monkeypatch.setattr(logger, "level", logging.INFO)
    logger.manager._clear_cache()  # type: ignore[attr-defined]
    topics._client(Settings(schema_registry_url="http://me:hunter2@registry/v7"))
    assert not logger.isEnabledFor(logging.INFO)


def test_the_registry_gets_the_password_that_its_url_spells(monkeypatch: pytest.MonkeyPatch) -> None:
    client = topics._client(Settings(schema_registry_url="http://me:hunter%2F2@registry/v7"))
    sent = next(client.client_kwargs["auth"].auth_flow(httpx.Request("GET", "http://registry/v7")))
    assert sent.headers["Authorization"] == "Basic " + base64.b64encode(b"me:hunter/2").decode()


SECRETS = ["redis://user:hunter2/x@h", "redis://user:x/hunter2@h:1", "https://u:hunter2:1@h:x/v7"]


@pytest.mark.parametrize("name", ["redis_url", "schema_registry_url"])
@pytest.mark.parametrize("url", SECRETS)
def test_an_invalid_url_is_refused_without_showing_its_password(
    name: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = said(monkeypatch, **{name: url})
    assert name.upper() in text
    assert "%2F" in text
    assert "hunter2" not in text


@pytest.mark.parametrize("name", ["redis_url", "schema_registry_url"])
@pytest.mark.parametrize("url", SECRETS)
def test_the_launcher_does_not_print_it_either(name: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name.upper(), url)
    with pytest.raises(WrongWord) as caught:
        ports.table()
    assert "hunter2" not in str(caught.value.code)


def test_a_registry_that_does_not_answer_is_named_without_its_password() -> None:
    def refused() -> None:
        raise OSError("refused")

    with pytest.raises(LogUnavailable) as caught:
        topics._asked(Settings(schema_registry_url="http://me:hunter2@registry/v7?token=hunter2"), refused)
    assert "registry/v7" in str(caught.value)
    assert "hunter2" not in str(caught.value)
