"""Who shows the right password, certificate or token is let in; anybody else is told why not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError, TopicAuthorizationFailedError

from deploy.local.issuer import SigningKey
from shared.security import client_arguments
from shared.service import new_producer
from shared.settings import KafkaSettings, ServiceSettings
from tests.certificates import Authority
from tests.integration.security.cluster import SecuredKafka

# One cluster for all of them.
pytestmark = pytest.mark.xdist_group("secured kafka")

Login = Callable[[SecuredKafka], KafkaSettings]


@pytest.mark.parametrize("way", ["scram", "certificate", "token"])
async def test_a_service_is_let_in_and_has_its_own_rights(
    secured_kafka: SecuredKafka, way: str
) -> None:
    producer = new_producer(ServiceSettings(kafka=getattr(secured_kafka, way)("metrics")))
    await producer.start()
    try:
        await producer.send_and_wait("updraft.metrics", b"mine", b"key")
        with pytest.raises(TopicAuthorizationFailedError):
            await producer.send_and_wait("updraft.pairs", b"not mine", b"key")
    finally:
        await producer.stop()


def without_login(secured_kafka: SecuredKafka, listener: str, **more: object) -> KafkaSettings:
    servers = secured_kafka.kafka.servers(listener)
    return KafkaSettings.model_validate({"bootstrap_servers": servers, **more})


@pytest.mark.parametrize(
    ("login", "told"),
    [
        pytest.param(
            lambda kafka: kafka.scram("metrics", password="wrong"),
            "SaslAuthenticationFailed: Authentication failed during authentication due to invalid"
            " credentials with SASL mechanism SCRAM-SHA-512",
            id="wrong password",
        ),
        pytest.param(
            lambda kafka: kafka.scram("metrics", username="nobody"),
            "SaslAuthenticationFailed",
            id="unknown user",
        ),
        pytest.param(
            lambda kafka: kafka.scram("metrics", sasl_mechanism="SCRAM-SHA-256"),
            "UnsupportedSaslMechanism",
            id="other mechanism",
        ),
        pytest.param(lambda kafka: without_login(kafka, "SCRAM"), "closed", id="in the clear"),
        pytest.param(
            lambda kafka: kafka.certificate("metrics", Authority.new("somebody else")),
            "closed",
            id="certificate of another authority",
        ),
        pytest.param(
            lambda kafka: without_login(
                kafka, "MTLS", security_protocol="SSL", ca_file=kafka.ca_file
            ),
            "closed",
            id="no certificate",
        ),
        pytest.param(
            lambda kafka: kafka.scram("metrics", ca_file=None),
            "certificate verify failed: unable to get local issuer certificate",
            id="a broker that nobody vouches for",
        ),
        pytest.param(
            lambda kafka: kafka.scram("metrics").model_copy(
                update={
                    "bootstrap_servers": kafka.kafka.servers("SCRAM").replace(
                        "127.0.0.1", "localhost"
                    )
                }
            ),
            "Hostname mismatch, certificate is not valid for 'localhost'",
            id="a broker of another name",
        ),
        pytest.param(
            lambda kafka: kafka.token("metrics", oauth_client_secret="wrong"),
            "/token answered 401 (invalid_client)",
            id="wrong client secret",
        ),
    ],
)
async def test_anybody_else_is_refused_and_told_why(
    secured_kafka: SecuredKafka, caplog: pytest.LogCaptureFixture, login: Login, told: str
) -> None:
    await refused(login(secured_kafka), caplog, told)


async def refused(kafka: KafkaSettings, caplog: pytest.LogCaptureFixture, told: str) -> None:
    """Starting a client fails, and the log says `told` and none of the secrets."""
    caplog.set_level(logging.DEBUG)
    client = AIOKafkaAdminClient(
        bootstrap_servers=kafka.bootstrap_servers, **client_arguments(kafka)
    )
    with pytest.raises(KafkaConnectionError):
        await client.start()
    await client.close()
    assert told in caplog.text
    for secret in (kafka.password, kafka.oauth_client_secret):
        assert secret is None or secret.get_secret_value() not in caplog.text.replace(told, "")


async def test_a_token_that_is_forged_or_over_is_refused_in_plain_words(
    secured_kafka: SecuredKafka,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = 'TokenRefused: the broker answered {"status":"invalid_token"}'
    with monkeypatch.context() as forging:
        forged = SigningKey.kept_in(secured_kafka.folder / "forged.key")
        forging.setattr(secured_kafka.issuer, "key", forged)
        await refused(secured_kafka.token("metrics"), caplog, told)
    caplog.clear()
    monkeypatch.setattr(secured_kafka.issuer, "lifetime", timedelta(hours=-1))
    await refused(secured_kafka.token("metrics"), caplog, told)


async def test_work_goes_on_over_the_end_of_a_token(
    secured_kafka: SecuredKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker hangs up when the token ends; the producer comes back with a new one."""
    monkeypatch.setattr(secured_kafka.issuer, "lifetime", timedelta(seconds=20))
    before = len(secured_kafka.issuer.given)
    kafka = secured_kafka.token("metrics", oauth_scope="kafka")
    producer = new_producer(ServiceSettings(kafka=kafka))
    await producer.start()
    try:
        while len(secured_kafka.issuer.given) < before + 2:
            await producer.send_and_wait("updraft.metrics", b"mine", b"key")
            await asyncio.sleep(0.05)
    finally:
        await producer.stop()
    assert set(secured_kafka.issuer.given[before:]) == {"metrics kafka"}
