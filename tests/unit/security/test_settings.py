"""Security settings that do not fit together are refused by name, and no secret is ever quoted."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import ValidationError

from shared.security import broker_arguments, client_arguments
from shared.service import new_broker, new_producer, run
from shared.settings import KafkaSettings, PostgresSettings, ServiceSettings, told
from tests.certificates import Authority

SCRAM = {"sasl_mechanism": "SCRAM-SHA-512", "username": "metrics", "password": "hush"}
TOKENS = {
    "sasl_mechanism": "OAUTHBEARER",
    "oauth_token_url": "https://issuer.example/token",
    "oauth_client_id": "metrics",
    "oauth_client_secret": "hush",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A CA, a certificate by it and its locked key."""
    folder = tmp_path_factory.mktemp("tls")
    authority = Authority.new("test")
    certificate, key = authority.issue("metrics").write(folder, password="open")
    (folder / "ca.pem").write_text(authority.pem)
    (folder / "other.pem").write_text("not a certificate")
    other, _ = authority.issue("other").write(folder / "other")
    return {
        "ca": str(folder / "ca.pem"),
        "certificate": str(certificate),
        "key": str(key),
        "other": str(other),
        "text": str(folder / "other.pem"),
    }


def refusal(
    monkeypatch: pytest.MonkeyPatch, part: str = "KAFKA", **settings: str | None
) -> list[str]:
    for name, value in settings.items():
        if value is not None:
            monkeypatch.setenv(f"UPDRAFT_{part}__{name.upper()}", value)
    with pytest.raises(ValidationError) as caught:
        ServiceSettings()
    assert "hush" not in str(caught.value)
    lines = told(caught.value)
    assert "hush" not in str(lines)
    return lines


@pytest.mark.parametrize(
    ("settings", "told_first"),
    [
        ({"security_protocol": "TLS"}, "UPDRAFT_KAFKA__SECURITY_PROTOCOL: Input should be"),
        ({"security_protocol": "SASL_SSL"}, "UPDRAFT_KAFKA__SASL_MECHANISM: missing; set SCRAM"),
        (SCRAM, "UPDRAFT_KAFKA__SASL_MECHANISM: has no use with PLAINTEXT; set security_protocol"),
        ({"password": "hush"}, "UPDRAFT_KAFKA__PASSWORD: has no use with PLAINTEXT; set"),
        (
            {"security_protocol": "SASL_SSL", **SCRAM, "username": None},
            "UPDRAFT_KAFKA__USERNAME: missing; sasl_mechanism SCRAM-SHA-512 needs it",
        ),
        (
            {"security_protocol": "SASL_SSL", **SCRAM, "oauth_scope": "kafka"},
            "UPDRAFT_KAFKA__OAUTH_SCOPE: has no use with sasl_mechanism SCRAM-SHA-512; remove it",
        ),
        (
            {"security_protocol": "SASL_SSL", **TOKENS, "oauth_client_secret": ""},
            "UPDRAFT_KAFKA__OAUTH_CLIENT_SECRET: missing; sasl_mechanism OAUTHBEARER needs it",
        ),
        (
            {"security_protocol": "SASL_SSL", **TOKENS, "password": "hush"},
            "UPDRAFT_KAFKA__PASSWORD: has no use with sasl_mechanism OAUTHBEARER; remove it",
        ),
        (
            {"security_protocol": "SASL_SSL", **TOKENS, "oauth_token_url": "http://issuer.example"},
            "UPDRAFT_KAFKA__OAUTH_TOKEN_URL: would carry the client's secret in the clear; give",
        ),
        (
            {"security_protocol": "SASL_PLAINTEXT", **TOKENS},
            "UPDRAFT_KAFKA__SECURITY_PROTOCOL: OAUTHBEARER would send a secret in the clear; set",
        ),
        (
            {"security_protocol": "SASL_PLAINTEXT", **SCRAM, "sasl_mechanism": "PLAIN"},
            "UPDRAFT_KAFKA__SECURITY_PROTOCOL: PLAIN would send a secret in the clear; set",
        ),
        (
            {"security_protocol": "SSL", "ca_file": "/nowhere/ca.pem"},
            "UPDRAFT_KAFKA__CA_FILE: Path does not point to a file",
        ),
    ],
)
def test_kafka_settings_that_do_not_fit_are_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str | None], told_first: str
) -> None:
    assert refusal(monkeypatch, **settings)[0].startswith(told_first)


@pytest.mark.parametrize(
    ("settings", "given"),
    [
        (KafkaSettings, {"password": "hush"}),
        (KafkaSettings, {"security_protocol": "SSL", "key_password": "hush"}),
        (PostgresSettings, {"dsn": "//:hush@b?sslmode=a", "sslmode": "require"}),
    ],
)
def test_no_error_quotes_a_secret(
    settings: type[KafkaSettings | PostgresSettings], given: dict[str, str]
) -> None:
    with pytest.raises(ValidationError) as caught:
        settings.model_validate(given)
    assert "hush" not in str(caught.value)


def test_every_fault_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = refusal(monkeypatch, security_protocol="SASL_SSL", sasl_mechanism="SCRAM-SHA-256")
    assert [line.partition(":")[0] for line in lines] == [
        "UPDRAFT_KAFKA__USERNAME",
        "UPDRAFT_KAFKA__PASSWORD",
    ]


@pytest.mark.parametrize(
    ("chosen", "told_first"),
    [
        ({"ca_file": "ca"}, "CA_FILE: has no use with PLAINTEXT; set security_protocol SSL or"),
        (
            {"security_protocol": "SSL", "certificate_file": "certificate"},
            "KEY_FILE: missing; name the key of certificate_file",
        ),
        (
            {"security_protocol": "SSL", "key_file": "key", "key_password": "open"},
            "CERTIFICATE_FILE: missing; name the certificate of key_file",
        ),
        (
            {"security_protocol": "SSL", "key_password": "hush"},
            "KEY_PASSWORD: has no key_file to open; set both or neither",
        ),
        ({"security_protocol": "SSL", "ca_file": "text"}, "CA_FILE: cannot be used ("),
        (
            {"security_protocol": "SSL", "certificate_file": "other", "key_file": "key",
             "key_password": "open"},
            "CERTIFICATE_FILE: cannot be used with key_file (KEY_VALUES_MISMATCH)",
        ),
        (
            {"security_protocol": "SSL", "certificate_file": "certificate", "key_file": "key"},
            "CERTIFICATE_FILE: cannot be used with key_file (",
        ),
    ],
)  # fmt: skip
def test_files_that_cannot_be_used_are_refused_by_name(
    monkeypatch: pytest.MonkeyPatch,
    files: dict[str, str],
    chosen: dict[str, str],
    told_first: str,
) -> None:
    settings = {name: files.get(value, value) for name, value in chosen.items()}
    assert refusal(monkeypatch, **settings)[0].startswith(f"UPDRAFT_KAFKA__{told_first}")


def test_nothing_set_means_a_broker_in_the_clear() -> None:
    assert client_arguments(KafkaSettings()) == {"security_protocol": "PLAINTEXT"}


def test_a_client_over_tls_checks_who_the_broker_is(files: dict[str, str]) -> None:
    kafka = KafkaSettings.model_validate(
        {
            "security_protocol": "SSL",
            "ca_file": files["ca"],
            "certificate_file": files["certificate"],
            "key_file": files["key"],
            "key_password": "open",
        }
    )
    context = client_arguments(kafka)["ssl_context"]
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert len(context.get_ca_certs()) == 1


@pytest.mark.parametrize(
    ("protocol", "more"),
    [
        ("PLAINTEXT", {}),
        ("SSL", {}),
        ("SASL_PLAINTEXT", SCRAM),
        ("SASL_SSL", SCRAM),
        ("SASL_SSL", {**SCRAM, "sasl_mechanism": "SCRAM-SHA-256"}),
        ("SASL_SSL", {**SCRAM, "sasl_mechanism": "PLAIN"}),
        ("SASL_SSL", TOKENS),
    ],
)
async def test_consumer_and_producer_are_told_the_same(protocol: str, more: dict[str, Any]) -> None:
    kafka = KafkaSettings.model_validate({"security_protocol": protocol, **more})
    settings = ServiceSettings(kafka=kafka)
    broker, producer = new_broker(settings), new_producer(settings)
    consumer = broker.config.builder()
    for name in (
        "_security_protocol",
        "_sasl_mechanism",
        "_sasl_plain_username",
        "_sasl_plain_password",
    ):
        if protocol.startswith("SASL") or name == "_security_protocol":
            assert getattr(consumer._client, name) == getattr(producer.client, name), name
    for client in (consumer._client, producer.client):
        assert client._security_protocol == protocol
        assert (client._ssl_context is not None) == kafka.encrypted
        tokens = client._sasl_oauth_token_provider
        assert (tokens is not None) == (kafka.sasl_mechanism == "OAUTHBEARER")
    assert set(broker_arguments(kafka)) <= {"security", "sasl_oauth_token_provider"}


@pytest.mark.parametrize(
    ("chosen", "told_first"),
    [
        ({"sslmode": "verify-full"}, "CA_FILE: missing; sslmode verify-full must know who"),
        ({"ca_file": "ca"}, "CA_FILE: is not kept to unless TLS is; set sslmode to verify-full"),
        ({"sslmode": "verify-full", "ca_file": "text"}, "CA_FILE: cannot be used ("),
        (
            {"sslmode": "verify-full", "ca_file": "ca", "dsn": "postgresql://h/d?sslmode=require"},
            "DSN: says sslmode as well; say all of TLS there or all in settings",
        ),
    ],
)
def test_postgres_settings_that_do_not_fit_are_refused_by_name(
    monkeypatch: pytest.MonkeyPatch,
    files: dict[str, str],
    chosen: dict[str, str],
    told_first: str,
) -> None:
    settings = {name: files.get(value, value) for name, value in chosen.items()}
    lines = refusal(monkeypatch, "POSTGRES", **settings)
    assert lines[0].startswith(f"UPDRAFT_POSTGRES__{told_first}")


def test_the_dsn_carries_tls_in_the_words_of_libpq(files: dict[str, str], tmp_path: Path) -> None:
    given = "postgresql://u:p%40ss@h1,h2:5433/db?application_name=a%20b"
    assert PostgresSettings(dsn=given).full_dsn() == given  # type: ignore[arg-type]
    odd = tmp_path / "a & b.pem"
    odd.write_text(Path(files["ca"]).read_text())
    full = PostgresSettings.model_validate(
        {"dsn": given, "sslmode": "verify-full", "ca_file": odd}
    ).full_dsn()
    assert full.startswith(f"{given}&sslmode=verify-full&sslrootcert=")
    assert full.endswith("a+%26+b.pem")


def test_a_service_ends_at_once_and_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPDRAFT_KAFKA__PASSWORD", "hush")
    monkeypatch.setenv("UPDRAFT_CLOCK__SPEED", "-1")

    def create_app() -> FastAPI:
        ServiceSettings()
        raise AssertionError("was not refused")

    with pytest.raises(SystemExit) as ended:
        run(create_app)
    assert str(ended.value).splitlines() == [
        "UPDRAFT_KAFKA__PASSWORD: has no use with PLAINTEXT; set security_protocol to SASL_SSL",
        "UPDRAFT_CLOCK__SPEED: Input should be greater than 0",
    ]
