"""How many Kafka brokers the data are of: one, or three that hold each record three times; it stays so."""

from __future__ import annotations

from infra.native import ports
from infra.native.paths import BROKERS, DATA
from infra.native.wording import WrongWord

#: Two of three are a majority; two of two would be no more than one.
COUNTS = (1, 3)
#: In a broker's folder: it has data.
FORMATTED = "formatted"


def checked(text: str) -> int | None:
    """What KAFKA= says, None when it says nothing; WrongWord."""
    if not text:
        return None
    if text not in map(str, COUNTS):
        raise WrongWord(f"KAFKA={text}: say KAFKA=1 or KAFKA=3")
    return int(text)


def count() -> int:
    """How many there are."""
    return len(BROKERS.read_text().split(",")) if BROKERS.exists() else 1


def decide(wanted: int | None) -> None:
    """Note how many these data are of, before the first start; SystemExit when they are of another number."""
    if wanted in (None, count()):
        return
    if (DATA / "kafka" / FORMATTED).exists():
        raise SystemExit(
            f"the data are of {count()} Kafka broker{'s' * (count() > 1)}; for {wanted}, begin with new data: "
            f"make clean, then make up KAFKA={wanted}"
        )
    BROKERS.unlink(missing_ok=True)
    if wanted and wanted > 1:
        addresses = [str(ports.endpoints(name)[0]) for name in names(wanted)]
        BROKERS.parent.mkdir(parents=True, exist_ok=True)
        BROKERS.write_text(",".join(addresses))


def names(number: int) -> list[str]:
    """kafka, kafka-2, kafka-3."""
    return ports.numbered("kafka", number)


def environment() -> dict[str, str]:
    """What the parts must know of three, where the user's own variables do not say it."""
    if count() == 1:
        return {}
    return {"KAFKA_BROKERS": ports.kafka_brokers(), "TOPIC_REPLICATION": str(count())}
