"""Settings that every service has; read from `UPDRAFT_` variables and from secret files."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal, Self, cast
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FilePath,
    SecretStr,
    ValidationError,
    model_validator,
)
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
_PREFIX = "UPDRAFT_"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class _TlsSettings(BaseModel):
    """The files of a TLS connection, all PEM; read when the service starts."""

    # An error that quotes its input would write passwords into the log.
    model_config = ConfigDict(hide_input_in_errors=True)

    ca_file: FilePath | None = None
    """Who may vouch for the server."""
    certificate_file: FilePath | None = None
    """Our own certificate and its chain, where the server asks for one."""
    key_file: FilePath | None = None
    key_password: SecretStr | None = None

    def tls_context(self) -> ssl.SSLContext:
        """A context that checks the server's name and chain, by the system's CAs without a file.

        Raises ValueError when a file does not hold what it should.
        """
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except OSError as error:
            raise ValueError(
                f"ca_file: cannot be used ({_kind(error)}); name a PEM file with the certificates"
                " of the authorities that sign for the server"
            ) from None
        if self.certificate_file and self.key_file:
            # Without any password OpenSSL would ask for one on the terminal.
            password = self.key_password.get_secret_value() if self.key_password else ""
            try:
                context.load_cert_chain(self.certificate_file, self.key_file, password)
            except OSError as error:
                raise ValueError(
                    f"certificate_file: cannot be used with key_file ({_kind(error)}); name a PEM"
                    " certificate, the PEM key that belongs to it, and the key's password if any"
                ) from None
        return context

    def _incomplete_files(self) -> Iterator[str]:
        if self.certificate_file and not self.key_file:
            yield "key_file: missing; name the key of certificate_file (it may be the same file)"
        if self.key_file and not self.certificate_file:
            yield "certificate_file: missing; name the certificate of key_file"
        if self.key_password and not self.key_file:
            yield "key_password: has no key_file to open; set both or neither"

    def _refuse(self, faults: Iterator[str]) -> Self:
        found = list(faults)
        if found:
            raise ValueError("\n".join(found))
        return self

    def _given(self, *names: str) -> list[str]:
        return [name for name in names if getattr(self, name)]


def _kind(error: OSError) -> str:
    return getattr(error, "reason", None) or error.strerror or type(error).__name__


class KafkaSettings(_TlsSettings):
    """Where the broker is, how to write to it, and who we are."""

    bootstrap_servers: str = "127.0.0.1:9092"
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN", "OAUTHBEARER"] | None = None
    username: str | None = None
    password: SecretStr | None = None
    oauth_token_url: str | None = None
    """Where an OIDC issuer gives tokens for client credentials."""
    oauth_client_id: str | None = None
    oauth_client_secret: SecretStr | None = None
    oauth_scope: str | None = None
    oauth_ca_file: FilePath | None = None
    """Who may vouch for the issuer; the system's CAs if not given."""
    idempotent_producer: bool = True
    """Off for the embedded broker, which refuses the client's idempotent handshake."""
    max_batch: int = Field(default=500, ge=1)
    session_seconds: float = Field(default=15, ge=1)
    """How long a silent replica keeps its partitions; the embedded broker also makes the first
    member of a group wait half of it."""
    group_suffix: str = ""
    """Appended to the consumer group, to read everything once more from the start."""

    @property
    def encrypted(self) -> bool:
        """Whether connections are TLS."""
        return self.security_protocol in ("SSL", "SASL_SSL")

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        self._refuse(self._faults())
        if self.encrypted:
            self.tls_context()
        return self

    def _faults(self) -> Iterator[str]:
        protocol, mechanism = self.security_protocol, self.sasl_mechanism
        if not self.encrypted:
            for name in self._given("ca_file", "certificate_file", "key_file", "key_password"):
                yield f"{name}: has no use with {protocol}; set security_protocol SSL or SASL_SSL"
        yield from self._incomplete_files()
        if not protocol.startswith("SASL_"):
            for name in self._given("sasl_mechanism", *_OF_PASSWORDS, *_OF_TOKENS, *_MAY_BE):
                yield f"{name}: has no use with {protocol}; set security_protocol to SASL_SSL"
        elif mechanism is None:
            yield "sasl_mechanism: missing; set SCRAM-SHA-512, or what else the brokers offer"
        elif protocol == "SASL_PLAINTEXT" and not mechanism.startswith("SCRAM-"):
            yield (f"security_protocol: {mechanism} would send a secret in the clear; set SASL_SSL")
        elif mechanism == "OAUTHBEARER":
            yield from self._needed(_OF_TOKENS, _OF_PASSWORDS)
            yield from self._open_token_url()
        else:
            yield from self._needed(_OF_PASSWORDS, (*_OF_TOKENS, *_MAY_BE))

    def _needed(self, needed: tuple[str, ...], of_others: tuple[str, ...]) -> Iterator[str]:
        for name in needed:
            if not getattr(self, name):
                yield f"{name}: missing; sasl_mechanism {self.sasl_mechanism} needs it"
        for name in self._given(*of_others):
            yield f"{name}: has no use with sasl_mechanism {self.sasl_mechanism}; remove it"

    def _open_token_url(self) -> Iterator[str]:
        url = urlsplit(self.oauth_token_url or "https:")
        if url.scheme != "https" and not (url.scheme == "http" and url.hostname in _LOOPBACK):
            yield "oauth_token_url: would carry the client's secret in the clear; give an https URL"


_OF_PASSWORDS = ("username", "password")
_OF_TOKENS = ("oauth_token_url", "oauth_client_id", "oauth_client_secret")
_MAY_BE = ("oauth_scope", "oauth_ca_file")


class PostgresSettings(_TlsSettings):
    """Where the service's schema is, and what makes the way there safe."""

    dsn: SecretStr = SecretStr("postgresql://127.0.0.1:5432/updraft")
    pool_size: int = Field(default=8, ge=2)
    idle_transaction_seconds: float = Field(default=60, ge=1)
    """After which silence in the middle of a transaction its locks are taken from it."""
    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] | None = (
        None
    )
    """As libpq has it; the DSN's or `prefer` if not given."""

    def full_dsn(self) -> str:
        """The DSN with the TLS settings in it, in libpq's words."""
        words = {
            "sslmode": self.sslmode,
            "sslrootcert": self.ca_file,
            "sslcert": self.certificate_file,
            "sslkey": self.key_file,
            "sslpassword": self.key_password and self.key_password.get_secret_value(),
        }
        added = urlencode({word: str(value) for word, value in words.items() if value is not None})
        parts = urlsplit(self.dsn.get_secret_value())
        query = "&".join(part for part in (parts.query, added) if part)
        return urlunsplit(parts._replace(query=query))

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        self._refuse(self._faults())
        self.tls_context()
        return self

    def _faults(self) -> Iterator[str]:
        yield from self._incomplete_files()
        files = self._given("ca_file", "certificate_file", "key_file", "key_password")
        in_dsn = [
            word
            for word in parse_qs(urlsplit(self.dsn.get_secret_value()).query)
            if word.startswith("ssl")
        ]
        if in_dsn and (files or self.sslmode):
            yield f"dsn: says {', '.join(in_dsn)} as well; say all of TLS there or all in settings"
        elif self.sslmode in (None, "disable", "allow", "prefer"):
            for name in files:
                yield f"{name}: is not kept to unless TLS is; set sslmode to verify-full"
        elif self.sslmode in ("verify-ca", "verify-full") and self.ca_file is None:
            yield f"ca_file: missing; sslmode {self.sslmode} must know who vouches for the server"


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

    batch: int = Field(default=1000, ge=1)
    shards: int = Field(default=1, ge=1, le=16)
    """How many replicas can publish at the same time, each the keys of its shards."""
    silence_seconds: float = Field(default=10, ge=1)
    """After which silence of its owner a shard goes to another replica."""
    largest_event: int = Field(default=1_000_000, ge=1)
    """In bytes; with key and headers it must fit the topics' max.message.bytes."""
    relay: bool = True
    """Off where Debezium publishes the outbox."""
    journal: bool = False
    """Keep what was published, for brokers that forget it when they stop."""


class TraceSettings(BaseModel):
    """Where spans are sent; off without an endpoint."""

    endpoint: str | None = None
    """OTLP over HTTP, such as http://collector:4318/v1/traces."""
    share: float = Field(default=1.0, ge=0, le=1)
    """Which share of the traces that begin here; a caller's own choice is kept to."""


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
        env_prefix=_PREFIX,
        env_nested_delimiter="__",
        nested_model_default_partial_update=True,
        extra="ignore",
        hide_input_in_errors=True,
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
    traces: TraceSettings = TraceSettings()

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
            env_prefix=_PREFIX,
            secrets_nested_delimiter="__",
        )
        return (init_settings, env_settings, secrets)


def told(error: ValidationError) -> list[str]:
    """What is wrong with the settings, a line each, by the names of the variables; no values."""
    lines = []
    for fault in error.errors(include_input=False, include_url=False, include_context=False):
        place = [str(part) for part in fault["loc"]]
        if fault["type"] != "value_error":
            lines.append(f"{_variable(place)}: {fault['msg']}")
            continue
        for line in fault["msg"].removeprefix("Value error, ").split("\n"):
            field, colon, reason = line.partition(": ")
            named = bool(colon) and field.isidentifier()
            lines.append(
                f"{_variable([*place, field])}: {reason}"
                if named
                else f"{_variable(place)}: {line}"
            )
    return lines


def _variable(path: list[str]) -> str:
    return (_PREFIX + "__".join(path)).upper()
