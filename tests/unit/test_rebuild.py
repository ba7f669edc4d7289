"""How the rebuild benchmark interprets the commands that it has run."""

from benchmarks import rebuild, start_up
from benchmarks.start_up import Start


def test_a_verify_that_finds_a_difference_is_an_error() -> None:
    runs = {"verify": [rebuild.Ended(10, 5, 200, 1)], "replay into Redis": [rebuild.Ended(5, 4, 100, 0)]}
    start = Start(30.0, {"kafka": 3.0, "bff": 29.0})
    found = rebuild._result(1000, 1, runs, {"cold": [start], "warm": [start]})
    assert found.faults == ["verify ended with status 1"]
    assert [(one.name, one.value) for one in found.figures] == [
        ("verify", 100), ("replay into Redis", 200), ("`make up`, cold", 30), ("`make up`, warm", 30)
    ]  # fmt: skip


def test_the_words_of_make_up_give_the_seconds_of_each_process() -> None:
    said = "kafka ready after 3.1 s\ncassandra-1 ready after 14.0 s\n11 ready after 30.2 s; look: make ps\n"
    assert start_up.READY.findall(said) == [("kafka", "3.1"), ("cassandra-1", "14.0")]
