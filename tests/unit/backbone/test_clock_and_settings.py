"""One setting gives all services the same time; secrets come from files."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.clock import Clock
from shared.ids import new_id
from shared.settings import ServiceSettings

ORIGIN = datetime(2026, 11, 1, tzinfo=UTC)


@given(st.floats(1, 200_000), st.integers(0, 1000))
def test_programme_time_runs_as_fast_as_set(speed: float, seconds: int) -> None:
    clock = Clock(datetime(2026, 1, 5, tzinfo=UTC), ORIGIN, speed)
    passed = clock.at(ORIGIN + timedelta(seconds=seconds)) - clock.start
    assert passed.total_seconds() == pytest.approx(seconds * speed)
    assert clock.real_seconds(passed) == pytest.approx(seconds)


def test_the_default_clock_is_the_real_one() -> None:
    assert abs(Clock().now() - datetime.now(UTC)) < timedelta(seconds=5)


@given(st.integers(0, 4_000_000_000_000).map(lambda ms: ORIGIN.fromtimestamp(ms / 1000, UTC)))
def test_an_id_is_a_uuid7_that_carries_its_moment(now: datetime) -> None:
    made = new_id(now)
    assert made.version == 7
    assert made.int >> 80 == int(now.timestamp() * 1000)


def test_settings_come_from_nested_variables_and_secret_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("UPDRAFT_CLOCK__SPEED", "1000")
    monkeypatch.setenv("UPDRAFT_CLOCK__START", "2026-01-05T08:00:00+01:00")
    monkeypatch.setenv("UPDRAFT_KAFKA__BOOTSTRAP_SERVERS", "kafka:1")
    (tmp_path / "UPDRAFT_LINKS__SECRET").write_text("from a file")
    monkeypatch.setenv("UPDRAFT_SECRETS_DIR", str(tmp_path))
    settings = ServiceSettings()
    assert settings.clock.clock().speed == 1000
    assert settings.clock.start == datetime(2026, 1, 5, 7, tzinfo=UTC)
    assert settings.kafka.bootstrap_servers == "kafka:1"
    assert settings.kafka.max_batch == 500
    assert settings.links.secret.get_secret_value() == "from a file"
    assert settings.links.valid_days == 30
    assert "from a file" not in repr(settings)
