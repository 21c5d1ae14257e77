"""A Kafka that lets nobody in unknown and nobody do what topics.yaml does not give them."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deploy.access import principals_of
from deploy.local.broker import topics
from deploy.local.issuer import AUDIENCE
from deploy.local.kafka.cluster import SMALL_JVM, ApacheKafka
from shared.settings import KafkaSettings
from tests.certificates import Authority
from tests.integration.security.issuer import TokenIssuer

PRINCIPALS = principals_of(topics())
_LISTENERS = {"SCRAM": "SASL_SSL", "MTLS": "SSL", "TOKENS": "SASL_SSL"}
_MODULES = "org.apache.kafka.common.security"


@dataclass(frozen=True)
class SecuredKafka:
    """The cluster, and what each principal needs to log in."""

    kafka: ApacheKafka
    authority: Authority
    issuer: TokenIssuer
    passwords: dict[str, str]
    folder: Path

    @property
    def ca_file(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def admin(self) -> str:
        """Where the super user connects."""
        return self.kafka.bootstrap_servers

    def scram(self, principal: str, **changed: Any) -> KafkaSettings:
        """The settings of a principal that logs in by password."""
        return self._settings(
            "SCRAM",
            {
                "security_protocol": "SASL_SSL",
                "sasl_mechanism": "SCRAM-SHA-512",
                "username": principal,
                "password": self.passwords[principal],
                **changed,
            },
        )

    def certificate(self, principal: str, authority: Authority | None = None) -> KafkaSettings:
        """The settings of a principal that shows a certificate, by default one that is trusted."""
        issued = (authority or self.authority).issue(principal)
        certificate, key = issued.write(self.folder / str(issued.certificate.serial_number))
        return self._settings(
            "MTLS",
            {"security_protocol": "SSL", "certificate_file": certificate, "key_file": key},
        )

    def token(self, principal: str, **changed: Any) -> KafkaSettings:
        """The settings of a principal that shows a token of the issuer."""
        return self._settings(
            "TOKENS",
            {
                "security_protocol": "SASL_SSL",
                "sasl_mechanism": "OAUTHBEARER",
                "oauth_token_url": f"{self.issuer.url}/token",
                "oauth_client_id": principal,
                "oauth_client_secret": self.passwords[principal],
                "oauth_ca_file": self.ca_file,
                **changed,
            },
        )

    def _settings(self, listener: str, more: dict[str, Any]) -> KafkaSettings:
        servers = self.kafka.servers(listener)
        given = {"bootstrap_servers": servers, "ca_file": self.ca_file, **more}
        return KafkaSettings.model_validate(given)


def secured(folder: Path) -> SecuredKafka:
    """A cluster that is not started yet, and an issuer that serves already."""
    folder.mkdir(parents=True, exist_ok=True)
    authority = Authority.new("Updraft test authority")
    (folder / "ca.pem").write_text(authority.pem)
    server = authority.issue("kafka")
    (folder / "ca.p12").write_bytes(authority.java_truststore("public"))
    (folder / "server.pem").write_text(server.key_pem() + server.pem)
    passwords = {name: secrets.token_urlsafe(12) for name in PRINCIPALS}
    issuer = TokenIssuer(folder, passwords, authority.issue("issuer").write(folder))
    kafka = ApacheKafka(
        folder / "kafka",
        listeners=_LISTENERS,
        properties=_properties(folder, issuer),
        storage_arguments=[
            word
            for name, password in passwords.items()
            for word in ("--add-scram", f"SCRAM-SHA-512=[name={name},password={password}]")
        ],
        jvm_arguments=[
            *SMALL_JVM,
            # Since version 4 a broker asks only the addresses that are named here.
            f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={issuer.url}/jwks.json",
            f"-Djavax.net.ssl.trustStore={folder / 'ca.p12'}",
            "-Djavax.net.ssl.trustStorePassword=public",
        ],
    )
    return SecuredKafka(kafka, authority, issuer, passwords, folder)


def _properties(folder: Path, issuer: TokenIssuer) -> dict[str, str]:
    tokens = "listener.name.tokens.oauthbearer"
    return {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "false",
        # Only the nodes, and who prepares a test, come by the listener without a password.
        "super.users": "User:ANONYMOUS",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(folder / "server.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(folder / "ca.pem"),
        "listener.name.mtls.ssl.client.auth": "required",
        "listener.name.mtls.ssl.principal.mapping.rules": "RULE:^CN=([a-z]+)$/$1/",
        "listener.name.scram.sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.scram.scram-sha-512.sasl.jaas.config": (
            f"{_MODULES}.scram.ScramLoginModule required;"
        ),
        "listener.name.tokens.sasl.enabled.mechanisms": "OAUTHBEARER",
        f"{tokens}.sasl.jaas.config": (f"{_MODULES}.oauthbearer.OAuthBearerLoginModule required;"),
        f"{tokens}.sasl.server.callback.handler.class": (
            f"{_MODULES}.oauthbearer.OAuthBearerValidatorCallbackHandler"
        ),
        # Whoever does not log in again before the token ends is cut off.
        f"{tokens}.connections.max.reauth.ms": "3600000",
        "sasl.oauthbearer.jwks.endpoint.url": f"{issuer.url}/jwks.json",
        "sasl.oauthbearer.expected.audience": AUDIENCE,
        "sasl.oauthbearer.expected.issuer": issuer.url,
    }


def variables(kafka: KafkaSettings) -> dict[str, str]:
    """The environment that gives a process these settings."""
    given = kafka.model_dump(exclude_unset=True)
    for secret in ("password", "oauth_client_secret"):
        if given.get(secret):
            given[secret] = given[secret].get_secret_value()
    return {f"UPDRAFT_KAFKA__{name.upper()}": str(value) for name, value in given.items()}


def log_in(monkeypatch: pytest.MonkeyPatch, kafka: KafkaSettings) -> str:
    """Be somebody in this process, as a person at the command line is; returns the servers."""
    for name, value in variables(kafka).items():
        monkeypatch.setenv(name, value)
    return kafka.bootstrap_servers
