"""Who may call what, on the bff's whole web application: tokens, scopes, limits, the page's session, and none of it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from aiohttp.test_utils import make_mocked_request
from openapi_spec_validator import validate

from app import bootstrap
from app.bootstrap import create_app
from app.errors import WrongFile
from app.models.health import Health
from app.settings import Settings
from app.web import files, recent_answers
from app.web.access import CLIENT, COOKIE, Access
from app.web.openapi import operations
from app.web.server import CannotStart, is_loopback
from app.web.tokens import find
from app.web.transactions import PATH
from tests.unit.site import BODY, ID, Answer, calls, request

ALL = {scope: f"token-of-{scope}" for scope in ("write", "read", "label", "admin")}
POSTED = json.dumps(BODY).encode()
JSON = "Content-Type: application/json"
#: A call of each scope.
OF_SCOPE = {
    "write": request("POST", PATH, [JSON], POSTED),
    "read": request("GET", f"{PATH}/{ID}"),
    "label": request("POST", f"{PATH}/{ID}/label", [JSON], b'{"label": "fraud"}'),
    "admin": request("POST", "/api/v1/dead-letters/wrong/send-back", [JSON], b"{}"),
}


def line(name: str, scopes: str, token: str) -> str:
    return f"{name} {scopes} {hashlib.sha256(token.encode()).hexdigest()}\n"


def with_token(sent: bytes, *headers: str) -> bytes:
    head, _, rest = sent.partition(b"\r\n")
    return b"\r\n".join([head, *(header.encode() for header in headers), rest])


def bearer(token: str) -> str:
    return f"Authorization: Bearer {token}"


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., Settings]:
    """With a file of tokens, one of each scope."""
    path = tmp_path / "tokens"
    path.write_text("".join(line(scope, scope, token) for scope, token in ALL.items()))

    def made(**values: Any) -> Settings:
        return Settings(tokens_file=str(path), **values)

    return made


def answers(values: Settings, *requests: bytes) -> list[Answer]:
    return calls(*requests, settings=values, also=lambda app: app.web.check())


def without_kafka(app: Any) -> None:
    """With tokens read, and an outage."""

    async def parts() -> dict[str, Health]:
        names = ("kafka", "redis", "cassandra")
        return {name: Health(name != "kafka", "refuses connections") for name in names}

    app.web.check()
    app.resources.parts = parts


# Tokens and scopes


@pytest.mark.parametrize("scope", ALL)
def test_a_call_needs_a_token_with_its_scope_and_no_other_is_enough(
    scope: str, settings: Callable[..., Settings]
) -> None:
    wanted, *others = [scope, *(other for other in ALL if other != scope)]
    allowed, *refused = answers(
        settings(), *(with_token(OF_SCOPE[scope], bearer(ALL[one])) for one in (wanted, *others))
    )
    assert allowed.status not in (401, 403, 429)
    for answer in refused:
        assert (answer.status, answer.json["type"]) == (403, "/problems/scope-missing")
        assert f"the scope {scope}" in answer.json["detail"]
        assert answer.headers["WWW-Authenticate"] == f'Bearer error="insufficient_scope", scope="{scope}"'


@pytest.mark.parametrize("scope", ALL)
@pytest.mark.parametrize(
    "headers",
    [
        [],
        ["Authorization: "],
        ["Authorization: Bearer"],
        ["Authorization: Bearer "],
        [f"Authorization: Basic {ALL['write']}"],
        [f"Authorization: {ALL['write']}"],
        [bearer("token-of-nobody")],
        [bearer(ALL["write"]), bearer(ALL["read"])],
        [bearer(hashlib.sha256(ALL["write"].encode()).hexdigest())],
        ["Cookie: payments_session=token-of-nobody"],
        ["Cookie: payments_session="],
        [bearer("token-of-nobody"), f"Cookie: payments_session={ALL['write']}"],
    ],
)
def test_without_a_token_that_is_known_nothing_is_done(
    scope: str, headers: list[str], settings: Callable[..., Settings]
) -> None:
    (answer,) = answers(settings(), with_token(OF_SCOPE[scope], *headers))
    assert (answer.status, answer.json["type"]) == (401, "/problems/unauthorized")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert "token-of" not in answer.body.decode()


def test_a_request_has_the_name_of_its_token_once_it_is_let_in(settings: Callable[..., Settings]) -> None:
    access = Access(settings())
    access.load()
    for token, name in ((ALL["write"], "write"), (ALL["read"], None), ("token-of-nobody", None)):
        call = make_mocked_request("POST", PATH, headers={"Authorization": f"Bearer {token}"})
        access.refusal(call, "write")
        assert call.get(CLIENT) == name


def test_the_scheme_is_read_in_any_case(settings: Callable[..., Settings]) -> None:
    (answer,) = answers(settings(), with_token(OF_SCOPE["read"], f"authorization: bearer  {ALL['read']}"))
    assert answer.status == 200


def test_each_call_of_the_api_has_a_scope_and_the_metrics_too() -> None:
    views = create_app("bff").web.views
    of_api = {
        (path, method): said.scope for path, method, said in operations(views) if path.startswith("/api/")
    }
    assert len(of_api) >= 10
    assert set(of_api.values()) == set(ALL)
    assert {said.scope for path, _, said in operations(views) if path == "/metrics"} == {"read"}
    unscoped = [
        path
        for path, view in views.items()
        if path.startswith("/api/") and not list(operations({path: view}))
    ]
    assert unscoped == []


def test_head_needs_what_get_needs(settings: Callable[..., Settings]) -> None:
    without, with_read = answers(
        settings(), request("HEAD", PATH), request("HEAD", PATH, [bearer(ALL["read"])])
    )
    assert (without.status, with_read.status) == (401, 200)


def test_pages_and_probes_need_no_token(settings: Callable[..., Settings]) -> None:
    paths = [
        "/",
        "/static/main.js",
        "/problems",
        "/problems/unauthorized",
        "/openapi.json",
        "/docs",
        "/health/live",
    ]
    assert [one.status for one in answers(settings(), *(request("GET", path) for path in paths))] == [200] * 7


def test_a_stranger_learns_that_it_is_not_ready_and_not_why(settings: Callable[..., Settings]) -> None:
    asked = request("GET", "/health/ready")
    stranger, reader = calls(
        asked, with_token(asked, bearer(ALL["read"])), settings=settings(), also=without_kafka
    )
    assert stranger.status == reader.status == 503
    assert stranger.json["ready"] is False
    assert "parts" not in stranger.json
    assert "kafka" not in stranger.body.decode()
    assert reader.json["parts"]["kafka"]


def test_a_browser_may_ask_whether_another_origin_may_send_a_token(settings: Callable[..., Settings]) -> None:
    asked = request("OPTIONS", PATH, ["Origin: https://shop.example", "Access-Control-Request-Method: POST"])
    (answer,) = answers(settings(cors_origins="https://shop.example"), asked)
    assert answer.status == 204
    assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_without_a_file_of_tokens_nothing_is_looked_at() -> None:
    web = create_app("bff").web
    assert web.access is None
    assert "/api/v1/session" not in web.views
    names = {one.handler.__name__ for one in web.web_app.router.routes() if one.method != "POST"}
    assert names == {"dispatch"}  # no handler in front of a view's own


def test_a_transactions_workers_metrics_need_a_token_as_a_bffs_do(settings: Callable[..., Settings]) -> None:
    with patch.object(bootstrap, "settings", settings):
        web = create_app("transactions").web
    routes = web.web_app.router.routes()
    assert {one.resource.canonical for one in routes if one.handler.__name__ == "guarded"} == {"/metrics"}
    assert "/api/v1/session" not in paths_of(web.web_app), "it has no page"


# The management port


def paths_of(app: Any) -> set[str]:
    return {resource.canonical for resource in app.router.resources()}


def test_with_a_management_port_metrics_and_documents_are_there_alone() -> None:
    with patch.object(bootstrap, "settings", lambda: Settings(management_port=5999)):
        web = create_app("bff").web
    assert paths_of(web.management_app) == {
        *("/metrics", "/openapi.json", "/asyncapi.json", "/docs", "/docs/{name}"),
        *("/health/live", "/health/ready"),
    }
    paths = ["/metrics", "/docs", "/openapi.json", "/asyncapi.json", "/health/live", PATH, "/"]
    found = calls(*(request("GET", path) for path in paths), settings=Settings(management_port=5999))
    assert [one.status for one in found] == [404, 404, 404, 404, 200, 200, 200]


def test_with_a_management_port_the_other_one_says_no_details() -> None:
    (answer,) = calls(
        request("GET", "/health/ready"), settings=Settings(management_port=5999), also=without_kafka
    )
    assert (answer.status, "kafka" in answer.body.decode()) == (503, False)


def test_without_one_everything_is_on_one_port() -> None:
    web = create_app("bff").web
    assert web.management_app is None
    (answer,) = calls(request("GET", "/health/ready"), also=without_kafka)
    assert answer.json["parts"]["kafka"]


def test_other_workers_ask_the_management_port() -> None:
    for role in ("bff", "main", "transactions"):
        with patch.object(bootstrap, "settings", lambda: Settings(management_port=5999)):
            assert create_app(role).conf.broker_client_id == f"{role}:5999"


# Limits


def test_beyond_its_limit_a_token_is_told_when_to_come_back(settings: Callable[..., Settings]) -> None:
    sent = [with_token(OF_SCOPE["read"], bearer(ALL["read"]))] * 4
    other = with_token(OF_SCOPE["write"], bearer(ALL["write"]))
    *found, last = answers(settings(rate_limit=0.5, rate_limit_burst=2), *sent, other)
    assert [one.status for one in found] == [200, 200, 429, 429]
    assert found[2].json["type"] == "/problems/too-many-requests"
    assert found[2].headers["Retry-After"] == "2"
    assert last.status == 201


def test_what_is_refused_for_its_scope_counts_too(settings: Callable[..., Settings]) -> None:
    sent = [with_token(OF_SCOPE["read"], bearer(ALL["write"]))] * 3
    found = answers(settings(rate_limit=0.5, rate_limit_burst=2), *sent)
    assert [one.status for one in found] == [403, 403, 429]


def test_strangers_do_not_push_out_the_last_problem_answers(settings: Callable[..., Settings]) -> None:
    before = recent_answers.newest()
    answers(settings(), OF_SCOPE["read"], OF_SCOPE["write"])
    assert recent_answers.newest() == before


# The page's session


def begun(values: Settings, scope: str = "read") -> str:
    (answer,) = answers(values, request("POST", "/api/v1/session", [bearer(ALL[scope])]))
    assert answer.status == 204
    return str(answer.headers["Set-Cookie"])


def test_a_page_trades_a_token_for_a_cookie_that_no_script_reads_and_no_other_site_sends(
    settings: Callable[..., Settings],
) -> None:
    cookie = begun(settings())
    assert cookie.startswith(f"{COOKIE}=")
    attributes = {part.strip().split("=")[0].lower() for part in cookie.split(";")[1:]}
    assert {"httponly", "samesite", "path", "max-age"} <= attributes
    assert "SameSite=Strict" in cookie
    assert "Path=/api" in cookie
    (shown,) = answers(settings(), with_token(OF_SCOPE["read"], f"Cookie: {cookie.split(';')[0]}"))
    assert shown.status == 200


def test_an_unknown_token_gets_no_cookie(settings: Callable[..., Settings]) -> None:
    (answer,) = answers(settings(), request("POST", "/api/v1/session", [bearer("token-of-nobody")]))
    assert answer.status == 401
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    ("values", "is_secure"),
    [({}, False), ({"tls_certificate": "c"}, True), ({"allow_insecure": "tls"}, True)],
)
def test_the_cookie_is_kept_from_plain_connections_where_there_are_others(
    values: dict[str, str], is_secure: bool, settings: Callable[..., Settings]
) -> None:
    assert Access(settings(**values))._is_secure is is_secure
    assert ("secure" in begun(settings()).lower()) is False


@pytest.mark.parametrize("scope", ["write", "label", "admin"])
def test_a_page_of_another_origin_can_have_no_browser_send_or_label_where_there_are_no_tokens_either(
    scope: str,
) -> None:
    """A browser sends a POST without a content type before it asks whether it may."""
    method, path, body = (
        "POST",
        *{
            "write": (PATH, POSTED),
            "label": (f"{PATH}/{ID}/label", b'{"label": "fraud"}'),
            "admin": ("/api/v1/dead-letters/all/send-back", b"{}"),
        }[scope],
    )
    for origin in ("http://elsewhere", "null", "http://["):
        (answer,) = calls(request(method, path, [f"Origin: {origin}"], body))
        assert (answer.status, answer.json["type"]) == (403, "/problems/foreign-origin")


def test_pages_of_ours_and_of_named_origins_can_send() -> None:
    for values, origin in ((Settings(), "http://x"), (Settings(cors_origins="http://shop"), "http://shop")):
        (answer,) = calls(request("POST", PATH, [JSON, f"Origin: {origin}"], POSTED), settings=values)
        assert answer.status == 201


@pytest.mark.parametrize(("origin", "status"), [("http://x", 201), ("http://x:3000", 403), ("null", 403)])
def test_a_page_of_another_origin_cannot_act_with_the_cookie(
    origin: str, status: int, settings: Callable[..., Settings]
) -> None:
    cookie = begun(settings(), "write").split(";")[0]
    (answer,) = answers(settings(), with_token(OF_SCOPE["write"], f"Cookie: {cookie}", f"Origin: {origin}"))
    assert answer.status == status
    if status == 403:
        assert answer.json["type"] == "/problems/foreign-origin"


# The description


def test_the_description_says_which_scope_a_call_needs(settings: Callable[..., Settings]) -> None:
    (answer,) = answers(settings(), request("GET", "/openapi.json"))
    validate(answer.json)
    said = answer.json
    assert said["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    post = said["paths"][PATH]["post"]
    assert post["security"] == [{"bearer": ["write"]}, {"session": ["write"]}]
    assert said["paths"]["/api/v1/session"]["post"]["security"] == [{"bearer": []}, {"session": []}]
    assert {"401", "403", "429"} <= post["responses"].keys()
    assert "security" not in said["paths"]["/health/live"]["get"]


# The file


def test_a_new_file_counts_without_a_restart_and_a_broken_one_leaves_the_old_tokens(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tokens"
    path.write_text(line("shop", "read", "old-secret"))
    access = Access(Settings(tokens_file=str(path), rate_limit=1))
    access.load()
    assert access._limit
    for key in (*access._tokens, b"another"):
        access._limit.wait(key, 1.0)
    monkeypatch.setattr(files, "LOOK_EVERY", 0.01)

    def valid() -> set[str]:
        return {token for token in ("old-secret", "new-secret") if find(access._tokens, token)}

    async def situation() -> None:
        watching = asyncio.create_task(files.keep_current([access]))

        async def written(text: str | None, wanted: set[str]) -> None:
            if text is None:
                path.unlink()
            else:
                path.with_suffix(".new").write_text(text)
                path.with_suffix(".new").rename(path)
            lines = len(caplog.records)
            for _ in range(3000):
                if len(caplog.records) > lines:
                    break
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)  # a few looks more
            assert valid() == wanted

        await written(line("shop", "read", "new-secret"), {"new-secret"})
        assert access._limit
        assert access._limit._due == {}  # those of tokens that are gone are forgotten
        await written("shop read old-secret", {"new-secret"})
        await written(None, {"new-secret"})
        await written(
            line("a", "read", "old-secret") + line("b", "read", "new-secret"), {"old-secret", "new-secret"}
        )
        watching.cancel()

    with caplog.at_level(logging.INFO):
        asyncio.run(situation())
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 4, said  # one line each, however often it was looked at
    assert "line 1: no SHA-256" in said[1]
    assert "stays in use" in said[1]
    assert "FileNotFoundError" in said[2]
    assert said[3].endswith("tokens: 2")
    assert "secret" not in "".join(said)


@pytest.mark.parametrize(
    "content", [None, b"", b"\xff\xfe", b"x" * 2_000_000], ids=["no", "empty", "bytes", "large"]
)
def test_a_file_that_cannot_be_used_ends_the_start_by_its_name(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "tokens"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WrongFile, match=f"TOKENS_FILE {path}"):
        Access(Settings(tokens_file=str(path))).load()


# Where it listens


def refused(role: str, values: Settings, host: str) -> str:
    with patch.object(bootstrap, "settings", lambda: values):
        web = create_app(role).web
    web.app.conf.web_bind = host
    try:
        web.check()
    except CannotStart as exc:
        return str(exc)
    return ""


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("127.0.0.1", True),
        ("127.77.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("localhost.example", False),
        ("", False),
    ],
)
def test_only_loopback_is_reached_from_this_machine_alone(host: str, found: bool) -> None:
    assert is_loopback(host) is found


def test_a_bff_that_other_machines_reach_does_not_start_without_tokens_and_tls(
    settings: Callable[..., Settings],
) -> None:
    assert refused("bff", Settings(), "127.0.0.1") == ""
    without = refused("bff", Settings(), "0.0.0.0")
    assert "Set TOKENS_FILE and TLS_CERTIFICATE with TLS_KEY, or ALLOW_INSECURE=1" in without
    assert "docs/security.md" in without
    assert "\n" not in without
    assert "Set TOKENS_FILE, or ALLOW_INSECURE=1" in refused("bff", Settings(allow_insecure="tls"), "0.0.0.0")
    assert "Set TLS_CERTIFICATE with TLS_KEY, or ALLOW_INSECURE=tls" in refused("bff", settings(), "0.0.0.0")
    assert refused("bff", settings(allow_insecure="tls"), "0.0.0.0") == ""
    assert refused("bff", Settings(allow_insecure="1"), "0.0.0.0") == ""
    assert "Set TOKENS_FILE" in refused("main", Settings(), "::")


def test_a_transactions_worker_that_other_machines_reach_does_not_start_without_them_either(
    settings: Callable[..., Settings],
) -> None:
    without = refused("transactions", Settings(), "0.0.0.0")
    assert "Set TOKENS_FILE and TLS_CERTIFICATE with TLS_KEY, or ALLOW_INSECURE=1" in without
    assert "Set TLS_CERTIFICATE with TLS_KEY" in refused("transactions", settings(), "0.0.0.0")
    assert refused("transactions", settings(allow_insecure="tls"), "0.0.0.0") == ""
    assert refused("transactions", Settings(allow_insecure="1"), "0.0.0.0") == ""


def test_settings_that_need_each_other_are_refused_alone(settings: Callable[..., Settings]) -> None:
    assert "belong together" in refused("bff", Settings(tls_certificate="c.pem"), "127.0.0.1")
    assert "belong together" in refused("bff", Settings(tls_key="k.pem"), "127.0.0.1")
    assert "set TOKENS_FILE too" in refused("bff", Settings(rate_limit=5), "127.0.0.1")
    assert "TOKENS_FILE /no/such cannot be read" in refused(
        "bff", Settings(tokens_file="/no/such"), "127.0.0.1"
    )
