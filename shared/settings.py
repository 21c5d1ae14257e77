"""Settings that every service has; read from `UPDRAFT_` variables and from secret files."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Literal, cast

from pydantic import BaseModel, Field, SecretStr
from pydantic_settings import (
    BaseSettings,
    NestedSecretsSettingsSource,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

from shared.catalogue.types import Moment
from shared.clock import Clock

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class KafkaSettings(BaseModel):
    """Where the broker is and how to write to it."""

    bootstrap_servers: str = "127.0.0.1:9092"
    idempotent_producer: bool = True
    """Off for the embedded broker, which refuses the client's idempotent handshake."""
    max_batch: int = Field(default=500, ge=1)
    session_seconds: float = Field(default=15, ge=1)
    """How long a silent replica keeps its partitions; the embedded broker also makes the first
    member of a group wait half of it."""
    group_suffix: str = ""
    """Appended to the consumer group, to read everything once more from the start."""


class PostgresSettings(BaseModel):
    """Where the service's schema is."""

    dsn: SecretStr = SecretStr("postgresql://127.0.0.1:5432/updraft")
    pool_size: int = Field(default=8, ge=2)


class ClockSettings(BaseModel):
    """Programme time; the defaults are the real clock."""

    start: Moment = _EPOCH
    origin: Moment = _EPOCH
    speed: float = Field(default=1.0, gt=0)

    def clock(self) -> Clock:
        """The clock that these settings describe."""
        return Clock(self.start, self.origin, self.speed)


class HttpSettings(BaseModel):
    """Where the service listens."""

    host: str = "127.0.0.1"
    port: int = 8000


class AuthSettings(BaseModel):
    """Whose bearer tokens are accepted."""

    issuer: str = "http://127.0.0.1:9000"
    audience: str = "updraft"
    jwks_url: str = "http://127.0.0.1:9000/jwks.json"


class LinkSettings(BaseModel):
    """Signed one-click links in mails."""

    secret: SecretStr = SecretStr("")
    base_url: str = "http://127.0.0.1:8000"
    """Public address of registration, which serves the links."""
    valid_days: int = Field(default=30, ge=1)


class MemorySettings(BaseModel):
    """How long, in real days, it is known what was done already."""

    inbox_days: int = Field(default=100, ge=1)
    """Must exceed the topics' retention: a redelivery after that would be taken for news."""
    idempotency_days: int = Field(default=7, ge=1)


class OutboxSettings(BaseModel):
    """How the relay publishes."""

    batch: int = Field(default=500, ge=1)
    journal: bool = False
    """Keep what was published, for brokers that forget it when they stop."""


class LogSettings(BaseModel):
    """Structured logs on standard output."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    format: Literal["json", "console"] = "json"


class ServiceSettings(BaseSettings):
    """Base of each service's settings: nested names are joined by two underscores.

    A file in the folder `UPDRAFT_SECRETS_DIR` sets the variable of its name, e.g.
    `UPDRAFT_LINKS__SECRET`.
    """

    model_config = SettingsConfigDict(
        env_prefix="UPDRAFT_",
        env_nested_delimiter="__",
        nested_model_default_partial_update=True,
        extra="ignore",
    )

    kafka: KafkaSettings = KafkaSettings()
    postgres: PostgresSettings = PostgresSettings()
    clock: ClockSettings = ClockSettings()
    http: HttpSettings = HttpSettings()
    auth: AuthSettings = AuthSettings()
    links: LinkSettings = LinkSettings()
    outbox: OutboxSettings = OutboxSettings()
    memory: MemorySettings = MemorySettings()
    log: LogSettings = LogSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the library's interface
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment first, then secret files with the same names."""
        folder = os.environ.get("UPDRAFT_SECRETS_DIR")
        if not folder:
            return (init_settings, env_settings)
        secrets = NestedSecretsSettingsSource(
            cast("SecretsSettingsSource", file_secret_settings),
            secrets_dir=folder,
            env_prefix="UPDRAFT_",
            secrets_nested_delimiter="__",
        )
        return (init_settings, env_settings, secrets)
