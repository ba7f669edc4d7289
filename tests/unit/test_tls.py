"""TLS of the web server: a certificate is checked before it is used, renewed without a restart; noise does no harm."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from app.errors import WrongFile
from app.settings import Settings
from app.web import server
from app.web.server import Runner, Site
from app.web.tls import Certificate
from infra.native.certificates import Pair


def of(pair: Pair) -> Certificate:
    return Certificate(Settings(tls_certificate=str(pair.certificate), tls_key=str(pair.key)))


def test_a_pair_that_can_be_used_is_said_once(made: dict[str, Pair]) -> None:
    found = of(made["server"])
    assert found.load() == f"the certificate {made['server'].certificate}"
    assert found.load() is None


def test_a_certificate_that_clients_would_refuse_is_refused_at_start(made: dict[str, Pair]) -> None:
    with pytest.raises(WrongFile, match=r"^TLS_CERTIFICATE \S+ with TLS_KEY \S+: certificate has expired$"):
        of(made["expired"]).load()


def test_what_is_no_pair_is_named(made: dict[str, Pair], tmp_path: Path) -> None:
    good, renewed = made["server"], made["renewed"]
    with pytest.raises(WrongFile, match="the key is another certificate's"):
        of(Pair(good.certificate, renewed.key)).load()
    with pytest.raises(WrongFile, match="not a PEM file"):
        of(Pair(good.key, good.certificate)).load()
    with pytest.raises(WrongFile, match="TLS_KEY /no/such cannot be read: FileNotFoundError"):
        of(Pair(good.certificate, Path("/no/such"))).load()
    locked = tmp_path / "locked.key"
    command = ["openssl", "ec", "-in", str(good.key), "-aes256", "-passout", "pass:x", "-out", str(locked)]
    subprocess.run(command, check=True, capture_output=True)
    with pytest.raises(WrongFile, match="has a password"):
        of(Pair(good.certificate, locked)).load()


@asynccontextmanager
async def listening(with_: Certificate, most: int = 10) -> AsyncIterator[int]:
    """The port that answers over TLS."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="served")

    app = web.Application()
    app.router.add_get("/", answer)
    runner = Runner(app, most, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    await Site(runner, "127.0.0.1", 0, ssl_context=with_.context).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def serving(pair: Pair, most: int = 10) -> AsyncIterator[int]:
    """The port that answers over TLS with this pair."""
    found = of(pair)
    found.load()
    async with listening(found, most) as port:
        yield port


async def asked(port: int, trusting: Path) -> bytes:
    """All that a client gets that trusts this authority."""
    context = ssl.create_default_context(cafile=str(trusting))
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    got = await reader.read()
    writer.close()
    return got


async def serial(port: int) -> int:
    """Of the certificate that a new connection is shown."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return hash(shown)


def test_a_client_that_trusts_the_authority_is_served_and_one_that_trusts_another_refuses(
    made: dict[str, Pair], caplog: pytest.LogCaptureFixture
) -> None:
    async def situation() -> None:
        async with serving(made["server"]) as port:
            assert (await asked(port, made["authority"].certificate)).endswith(b"served")
            with pytest.raises(ssl.SSLCertVerificationError):
                await asked(port, made["another"].certificate)
            assert (await asked(port, made["authority"].certificate)).endswith(b"served")

    with caplog.at_level(logging.INFO):
        asyncio.run(situation())
    assert caplog.records == []


def test_who_speaks_plain_text_is_closed_without_an_answer_and_without_a_trace_in_the_log(
    made: dict[str, Pair], caplog: pytest.LogCaptureFixture
) -> None:
    async def situation() -> None:
        async with serving(made["server"]) as port:
            for sent in (
                b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                b"\0" * 100,
                b"\x16\x03\x01\xff\xff" + b"x" * 70_000,
            ):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(sent)
                async with asyncio.timeout(30):
                    with contextlib.suppress(ConnectionResetError):
                        assert b"HTTP" not in await reader.read()
                writer.close()
            assert (await asked(port, made["authority"].certificate)).endswith(b"served")

    with caplog.at_level(logging.INFO):
        asyncio.run(situation())
    assert caplog.records == []


def test_who_never_ends_the_handshake_is_cut_off(
    made: dict[str, Pair], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert server.HANDSHAKE <= 10
    monkeypatch.setattr(server, "HANDSHAKE", 0.2)

    async def situation() -> None:
        async with serving(made["server"]) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            async with asyncio.timeout(30):
                assert await reader.read() == b""
            writer.close()

    with caplog.at_level(logging.INFO):
        asyncio.run(situation())
    assert [record for record in caplog.records if record.exc_info] == []


def test_who_connects_beyond_the_bound_gets_an_answer_over_tls_too(
    made: dict[str, Pair], caplog: pytest.LogCaptureFixture
) -> None:
    async def situation() -> None:
        context = ssl.create_default_context(cafile=str(made["authority"].certificate))
        async with serving(made["server"], most=1) as port:
            first = await asyncio.open_connection("127.0.0.1", port, ssl=context)
            got = await asked(port, made["authority"].certificate)
            assert got.startswith(b"HTTP/1.1 503 ")
            assert b"too-many-connections" in got
            first[1].close()

    with caplog.at_level(logging.INFO):
        asyncio.run(situation())
    assert caplog.records == []


def test_a_renewed_pair_is_shown_to_new_connections_and_a_broken_one_is_not(
    made: dict[str, Pair], tmp_path: Path
) -> None:
    here = Pair(tmp_path / "tls.crt", tmp_path / "tls.key")

    def put(certificate: Path, key: Path) -> None:
        shutil.copy(certificate, here.certificate)
        shutil.copy(key, here.key)

    async def situation() -> None:
        put(made["server"].certificate, made["server"].key)
        found = of(here)
        found.load()
        async with listening(found) as port:
            before = await serial(port)
            for broken in (made["expired"], Pair(made["renewed"].certificate, made["server"].key)):
                put(broken.certificate, broken.key)
                with pytest.raises(WrongFile):
                    found.load()
                assert await serial(port) == before
                assert (await asked(port, made["authority"].certificate)).endswith(b"served")
            put(made["renewed"].certificate, made["renewed"].key)
            assert found.load()
            assert await serial(port) != before
            assert (await asked(port, made["authority"].certificate)).endswith(b"served")

    asyncio.run(situation())
