"""Log lines tell where something failed, never whose data it was."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

FAIL_AND_TELL = """
import logging
import structlog
from shared.telemetry import configure_logs

configure_logs(level="INFO", format="json", service="test")
try:
    try:
        raise KeyError("ada@example.com")
    except KeyError as inner:
        raise ValueError("Key (email)=(ada@example.com) already exists") from inner
except ValueError as error:
    {tell}
"""


@pytest.mark.parametrize(
    "tell",
    [
        'structlog.get_logger().warning("batch_failed", exc_info=True)',
        'structlog.get_logger().warning("batch_failed", exc_info=error)',
        'logging.getLogger("library").exception("failed")',
    ],
)
def test_the_message_of_an_exception_is_left_out(tell: str) -> None:
    # A process of its own, since logging is configured for the whole process.
    program = FAIL_AND_TELL.format(tell=tell)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "ada" not in done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["service"] == "test"
    assert [entry.split(" at ")[0] for entry in told["exception"]] == ["ValueError", "KeyError"]
