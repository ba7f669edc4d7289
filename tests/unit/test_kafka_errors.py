"""What is said where Kafka does not do what it was asked for."""

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaError, ProducerFenced, TopicAuthorizationFailedError

from app.errors import LogUnavailable
from app.messaging import refusals
from app.messaging.kafka_errors import log_unavailable

REFUSES = "kafka-2:9092 refuses KAFKA_USERNAME with KAFKA_PASSWORD"


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (KafkaConnectionError("Unable to bootstrap"), REFUSES),
        (TimeoutError(), REFUSES),
        (ProducerFenced(), "ProducerFenced"),
        (TopicAuthorizationFailedError("transaction_status"), "TopicAuthorizationFailedError"),
    ],
)
def test_while_a_broker_refuses_us_that_is_said_of_what_nobody_answers_and_not_of_what_another_one_does(
    raised: KafkaError | TimeoutError, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "_reasons", {("kafka-2", 9092): REFUSES})
    with pytest.raises(LogUnavailable) as failed, log_unavailable("it could not be published"):
        raise raised
    assert said in str(failed.value)
    assert (REFUSES in str(failed.value)) == (said == REFUSES)
