from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AntifraudAssesmentStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ACCEPTED: _ClassVar[AntifraudAssesmentStatus]
    REJECTED: _ClassVar[AntifraudAssesmentStatus]
ACCEPTED: AntifraudAssesmentStatus
REJECTED: AntifraudAssesmentStatus

class AntifraudAssesmentRequest(_message.Message):
    __slots__ = ("value_in_cents", "transaction_timestamp", "latitude", "longitude")
    VALUE_IN_CENTS_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    LATITUDE_FIELD_NUMBER: _ClassVar[int]
    LONGITUDE_FIELD_NUMBER: _ClassVar[int]
    value_in_cents: int
    transaction_timestamp: int
    latitude: float
    longitude: float
    def __init__(self, value_in_cents: _Optional[int] = ..., transaction_timestamp: _Optional[int] = ..., latitude: _Optional[float] = ..., longitude: _Optional[float] = ...) -> None: ...

class AntifraudAssesmentResponse(_message.Message):
    __slots__ = ("status", "score", "threshold", "model_version", "replica")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    REPLICA_FIELD_NUMBER: _ClassVar[int]
    status: AntifraudAssesmentStatus
    score: float
    threshold: float
    model_version: str
    replica: str
    def __init__(self, status: _Optional[_Union[AntifraudAssesmentStatus, str]] = ..., score: _Optional[float] = ..., threshold: _Optional[float] = ..., model_version: _Optional[str] = ..., replica: _Optional[str] = ...) -> None: ...

class Reason(_message.Message):
    __slots__ = ("row", "feature", "value", "words")
    ROW_FIELD_NUMBER: _ClassVar[int]
    FEATURE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    row: int
    feature: str
    value: int
    words: str
    def __init__(self, row: _Optional[int] = ..., feature: _Optional[str] = ..., value: _Optional[int] = ..., words: _Optional[str] = ...) -> None: ...

class AntifraudAssesmentBatchRequest(_message.Message):
    __slots__ = ("value_in_cents", "transaction_timestamp", "latitude", "longitude", "history", "history_version", "model_version")
    VALUE_IN_CENTS_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    LATITUDE_FIELD_NUMBER: _ClassVar[int]
    LONGITUDE_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    HISTORY_VERSION_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    value_in_cents: _containers.RepeatedScalarFieldContainer[int]
    transaction_timestamp: _containers.RepeatedScalarFieldContainer[int]
    latitude: _containers.RepeatedScalarFieldContainer[float]
    longitude: _containers.RepeatedScalarFieldContainer[float]
    history: _containers.RepeatedScalarFieldContainer[int]
    history_version: str
    model_version: str
    def __init__(self, value_in_cents: _Optional[_Iterable[int]] = ..., transaction_timestamp: _Optional[_Iterable[int]] = ..., latitude: _Optional[_Iterable[float]] = ..., longitude: _Optional[_Iterable[float]] = ..., history: _Optional[_Iterable[int]] = ..., history_version: _Optional[str] = ..., model_version: _Optional[str] = ...) -> None: ...

class AntifraudAssesmentBatchResponse(_message.Message):
    __slots__ = ("status", "score", "threshold", "model_version", "replica", "shadow_score", "shadow_version", "reasons")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    REPLICA_FIELD_NUMBER: _ClassVar[int]
    SHADOW_SCORE_FIELD_NUMBER: _ClassVar[int]
    SHADOW_VERSION_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    status: _containers.RepeatedScalarFieldContainer[AntifraudAssesmentStatus]
    score: _containers.RepeatedScalarFieldContainer[float]
    threshold: float
    model_version: str
    replica: str
    shadow_score: _containers.RepeatedScalarFieldContainer[float]
    shadow_version: str
    reasons: _containers.RepeatedCompositeFieldContainer[Reason]
    def __init__(self, status: _Optional[_Iterable[_Union[AntifraudAssesmentStatus, str]]] = ..., score: _Optional[_Iterable[float]] = ..., threshold: _Optional[float] = ..., model_version: _Optional[str] = ..., replica: _Optional[str] = ..., shadow_score: _Optional[_Iterable[float]] = ..., shadow_version: _Optional[str] = ..., reasons: _Optional[_Iterable[_Union[Reason, _Mapping]]] = ...) -> None: ...
