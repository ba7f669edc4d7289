"""Every setting: name (the environment variable), default, unit, why. Read once, validated, printed at start."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class Settings(BaseSettings):
    """The app's settings; a wrong value ends the process at start with the variable's name."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    # -- where the neighbours are
    kafka_brokers: str = Field("127.0.0.1:9092", description="Kafka bootstrap servers, host:port, comma separated")
    schema_registry_url: str = Field(
        "http://127.0.0.1:8081/apis/ccompat/v7", description="Schema Registry with the Confluent API"
    )
    cassandra_hosts: str = Field("127.0.0.1,127.0.0.2,127.0.0.3", description="Contact points, comma separated")
    cassandra_port: int = Field(9042, ge=1, le=65535, description="CQL port of every Cassandra node")
    redis_url: str = Field("redis://127.0.0.1:6379/0", description="Redis of the read model")
    antifraud_address: str = Field("127.0.0.1:5005", description="Envoy in front of the antifraud replicas")

    # -- what we listen on
    listen_host: str = Field("127.0.0.1", description="Address the web server listens on; 0.0.0.0 in containers")
    web_port: int | None = Field(None, ge=1, le=65535, description="Default: bff and main 5001, transactions 5002")
