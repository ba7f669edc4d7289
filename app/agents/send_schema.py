"""`faust -A app.main send @transactions '{…}'`: a transaction as JSON, put through as the bff puts it."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from app.errors import LogUnavailable
from app.messaging import topics
from app.messaging.consumer import BatchSchema
from app.models.transaction import TransactionRequest, new_transaction
from app.settings import Settings


class TransactionSchema(BatchSchema):
    """Batches in, one validated and Avro-encoded transaction out."""

    def __init__(self, settings: Settings):
        super().__init__()
        self._settings = settings

    def dumps_value(self, app: Any, value: Any, *, serializer: Any = None, headers: Any) -> tuple[bytes, Any]:
        """The record of a request in JSON (the fields of POST); SystemExit with the field that is wrong."""
        try:
            request = TransactionRequest.model_validate_json(value)
        except ValidationError as exc:
            first = exc.errors()[0]
            raise SystemExit(f"{'.'.join(map(str, first['loc'])) or 'value'}: {first['msg']}") from exc
        try:
            codec = topics.register_now(self._settings, topics.CREATED)
        except LogUnavailable as exc:
            raise SystemExit(f"{exc}. Is the stack up? See: make ps") from exc
        return codec.encode(new_transaction(request)), headers

    def dumps_key(self, app: Any, key: Any, *, serializer: Any = None, headers: Any) -> tuple[Any, Any]:
        """A key given with --key goes as it is."""
        return key, headers
