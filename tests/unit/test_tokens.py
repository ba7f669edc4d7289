"""The file of tokens: what is accepted, what is refused by its line, and how a token is found in it."""

from __future__ import annotations

import hashlib
import hmac
from unittest import mock

import pytest

from app.web.rate_limit import RateLimit
from app.web.tokens import MOST, WrongTokens, find, parse


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


SHOP = f"shop write,label {digest('secret-1')}"


def test_a_line_gives_a_token_its_name_and_its_scopes() -> None:
    found = find(parse(f"# of the shop\n\n  {SHOP}  \n"), "secret-1")
    assert found is not None
    assert (found.name, found.scopes) == ("shop", frozenset({"write", "label"}))


def test_a_token_that_is_not_in_the_file_is_nobodys() -> None:
    known = parse(SHOP)
    for other in ("", "secret-2", digest("secret-1"), "secret-1 ", "\udcff", "x" * 8000):
        assert find(known, other) is None


def test_two_tokens_of_one_name_are_both_valid_while_one_replaces_the_other() -> None:
    known = parse(f"{SHOP}\nshop write {digest('secret-2')}")
    assert {find(known, token).name for token in ("secret-1", "secret-2")} == {"shop"}  # type: ignore[union-attr]


def test_digests_are_compared_as_a_whole_and_in_constant_time() -> None:
    known = parse(SHOP)
    with mock.patch("hmac.compare_digest", wraps=hmac.compare_digest) as compared:
        assert find(known, "secret-1")
    ((ours, theirs),) = [call.args for call in compared.call_args_list]
    assert ours == theirs == hashlib.sha256(b"secret-1").digest()
    # One whose digest only begins in the same way is another token.
    other = hashlib.sha256(b"secret-1").digest()[:8] + bytes(24)
    with mock.patch("hashlib.sha256", return_value=mock.Mock(digest=lambda: other)):
        assert find(known, "secret-2") is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it has no token"),
        ("# nothing\n", "it has no token"),
        (f"{SHOP}\nshop write", "line 2 is not: name, scopes"),
        (f"shop write read {digest('x')}", "line 1 is not: name, scopes"),
        (f"sh/op write {digest('x')}", "line 1: the name"),
        (f"{'x' * 65} write {digest('x')}", "line 1: the name"),
        (f"shop send {digest('x')}", "line 1: the scopes are not of write, read, label, admin"),
        (f"shop write, {digest('x')}", "line 1: the scopes"),
        (f"shop any {digest('x')}", "line 1: the scopes"),
        ("shop write secret-1", "line 1: no SHA-256"),
        (f"shop write {digest('x').upper()}", "line 1: no SHA-256"),
        (f"{SHOP}\n{SHOP}", "line 2 has the token of a line before"),
        ("\n".join(f"x read {digest(str(n))}" for n in range(MOST + 1)), "more than 1000 tokens"),
    ],
)
def test_what_is_wrong_is_named_by_its_line_and_not_repeated(text: str, reason: str) -> None:
    with pytest.raises(WrongTokens) as caught:
        parse(text)
    assert reason in str(caught.value)
    assert "secret" not in str(caught.value)
    assert digest("x")[:16] not in str(caught.value)


# Limits


def made(limit: RateLimit, key: bytes, number: int, now: float) -> int:
    """How many of so many requests at once are let through."""
    return sum(limit.wait(key, now) == 0 for _ in range(number))


def test_a_token_may_make_a_burst_at_once_and_then_its_rate() -> None:
    limit = RateLimit(10, 5)
    assert made(limit, b"a", 100, now=1000.0) == 5
    assert made(limit, b"a", 100, now=1000.3) == 3
    assert sum(made(limit, b"a", 100, now=1001 + second) for second in range(10)) == 5 + 9 * 5
    assert sum(made(limit, b"a", 1, now=2000 + n / 10) for n in range(100)) == 100


def test_the_wait_is_the_time_until_the_next_one_is_let_through() -> None:
    limit = RateLimit(2, 1)
    assert limit.wait(b"a", 50.0) == 0
    wait = limit.wait(b"a", 50.1)
    assert wait == pytest.approx(0.4)
    assert limit.wait(b"a", 50.1 + wait) == 0


def test_one_token_does_not_use_up_anothers_limit() -> None:
    limit = RateLimit(1, 1)
    assert [made(limit, key, 9, now=7.0) for key in (b"a", b"b", b"a")] == [1, 1, 0]


def test_memory_is_bounded_by_the_tokens_that_there_are() -> None:
    limit = RateLimit(1, 1)
    for key in range(1000):
        limit.wait(str(key).encode(), 1.0)
    limit.keep({b"7", b"8"})
    assert limit._due.keys() == {b"7", b"8"}
    assert made(limit, b"7", 1, now=1.0) == 0
