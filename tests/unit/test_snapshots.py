"""A snapshot of customers' histories shortens an assignment, and never decides what is true."""

import asyncio
from pathlib import Path

import pytest

from app.models.status import decided
from app.processing import snapshot_keeper
from app.processing.customer_state import CustomerState
from app.processing.snapshot_keeper import SnapshotKeeper
from app.stores.snapshots import Snapshots
from history import layout
from history.features import FEATURES
from tests.unit.samples import GOOD, NOW, transaction

KNOWN = FEATURES.index("known")


def state_of(count: int) -> CustomerState:
    """Of a log with `count` transactions of two customers, at the even offsets."""
    state = CustomerState()
    log = [
        decided(transaction(transaction_id=f"t{n}", customer_id="ab"[n % 2]), GOOD, 3, n, NOW * 1000)
        for n in range(count)
    ]
    state.fold([(2 * n, one) for n, one in enumerate(log)], 2 * count)
    return state


def known(state: CustomerState, *customers: str) -> list[int]:
    """How many transactions the state says of each; afterwards it is as before."""
    rows = state.observe([transaction(customer_id=one) for one in customers])
    state.forget(len(customers))
    return [int(row[KNOWN]) for row in rows]


def restored(folder: Path, at: int = 8, id_: str = "t4") -> CustomerState:
    """By a worker that starts, of a log that has that status there."""

    async def is_status(partition: int, offset: int, transaction_id: str) -> bool:
        return (partition, offset, transaction_id) == (3, at, id_)

    return asyncio.run(SnapshotKeeper(Snapshots(str(folder))).restored(3, is_status))


def keep(folder: Path | str, *states: CustomerState) -> None:
    async def main() -> None:
        keeper = SnapshotKeeper(Snapshots(str(folder)))
        for state in states:
            keeper.keep(3, state)
            await asyncio.gather(*keeper._writing.values())

    asyncio.run(main())


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot_keeper, "AFTER", 4)


def test_a_worker_goes_on_from_it(tmp_path: Path) -> None:
    keep(tmp_path, state_of(5))
    state = restored(tmp_path)
    assert (state.folded_to, state.last) == (10, (8, "t4"))
    assert known(state, "a", "b", "c") == [3, 2, 0]


def test_what_is_not_in_the_log_is_not_in_it(tmp_path: Path) -> None:
    state = state_of(5)
    state.observe([transaction(customer_id=one) for one in ("a", "new", "a")])
    keep(tmp_path, state)
    assert known(restored(tmp_path), "a", "b", "new") == [3, 2, 0]
    state.rewind()
    assert known(state, "a", "b", "new") == [3, 2, 0]


def test_it_is_written_again_after_so_many_records_and_not_before(tmp_path: Path) -> None:
    keep(tmp_path, state_of(5), state_of(6))
    assert restored(tmp_path).folded_to == 10
    keep(tmp_path, state_of(1))
    assert restored(tmp_path).folded_to == 10
    keep(tmp_path, state_of(9))
    assert restored(tmp_path, 16, "t8").folded_to == 18


@pytest.mark.parametrize(("offset", "id_"), [(8, "another"), (6, "t4")])
def test_of_another_log_it_is_not_used(
    tmp_path: Path, offset: int, id_: str, caplog: pytest.LogCaptureFixture
) -> None:
    keep(tmp_path, state_of(5))
    assert restored(tmp_path, offset, id_).folded_to == 0
    assert "another log" in caplog.text


@pytest.mark.parametrize("cut", [0, 1, 20, 300, -1])
def test_damaged_it_is_not_used_and_the_log_says_so(
    tmp_path: Path, cut: int, caplog: pytest.LogCaptureFixture
) -> None:
    keep(tmp_path, state_of(5))
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:cut])
    assert restored(tmp_path).folded_to == 0
    assert "cannot be used, partition 3's log is read from its beginning" in caplog.text


def test_with_other_bytes_in_it_it_is_not_used(tmp_path: Path) -> None:
    keep(tmp_path, state_of(5))
    (path,) = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    assert restored(tmp_path).folded_to == 0


def test_of_another_version_it_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    keep(tmp_path, state_of(5))
    monkeypatch.setattr(layout, "VERSION", layout.VERSION + 1)
    assert restored(tmp_path).folded_to == 0
    assert "it is of version" in caplog.text


def test_without_one_or_without_a_folder_nothing_is_known(tmp_path: Path) -> None:
    assert restored(tmp_path / "none").folded_to == 0
    keep("", state_of(5))


def test_a_disk_that_takes_nothing_is_reported_and_the_worker_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder")
    keep(tmp_path / "file", state_of(5))
    assert "was not written; the next assignment reads more of the log" in caplog.text
