"""Prometheus figures and structured logs; neither ever holds personal data."""

from __future__ import annotations

import logging
import sys
import traceback
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import Counter, Gauge, Histogram

EVENTS = Counter("updraft_events_total", "Events applied.", ["service", "type"])
DUPLICATES = Counter("updraft_duplicates_total", "Redelivered events dropped.", ["service"])
UNKNOWN = Counter("updraft_unknown_types_total", "Records of types not known here.", ["service"])
PARKED = Counter(
    "updraft_parked_total", "Records set aside, by kind of reason.", ["service", "topic", "kind"]
)
PARKED_NOW = Gauge("updraft_parked_records", "Records set aside now, by kind.", ["service", "kind"])
EVENT_AGE = Histogram(
    "updraft_event_age_seconds",
    "Programme time from an event's first cause until it was applied here.",
    ["service"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600),
)
BATCH_SIZE = Histogram(
    "updraft_batch_records",
    "Records in a batch.",
    ["service"],
    buckets=(1, 5, 20, 50, 100, 200, 500),
)
BATCH_SECONDS = Histogram("updraft_batch_seconds", "Real time to apply a batch.", ["service"])
PUBLISHED = Counter("updraft_published_total", "Records published.", ["service"])
REFUSED = Counter(
    "updraft_refused_total",
    "Times that the broker refused the records of a topic for good.",
    ["service", "topic", "error"],
)
LAG = Gauge("updraft_consumer_lag_records", "Records not yet applied.", ["service"])
LAG_AGE = Gauge("updraft_consumer_lag_seconds", "Age of the oldest of them.", ["service"])
OUTBOX_DEPTH = Gauge("updraft_outbox_rows", "Records not yet published.", ["service"])
OUTBOX_AGE = Gauge("updraft_outbox_age_seconds", "Age of the oldest of them.", ["service"])


_LONGEST_CHAIN = 4
_DEEPEST_FRAMES = 12


def _tell_where_not_what(
    _logger: Any, _method: str, event: structlog.types.EventDict
) -> structlog.types.EventDict:
    """Replace an exception by its types and places: its message may quote somebody's data."""
    error = event.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    elif isinstance(error, tuple):
        error = error[1]
    chain: list[str] = []
    while isinstance(error, BaseException) and len(chain) < _LONGEST_CHAIN:
        frames = traceback.extract_tb(error.__traceback__)[-_DEEPEST_FRAMES:]
        places = " > ".join(f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in frames)
        chain.append(f"{type(error).__name__} at {places}" if places else type(error).__name__)
        error = error.__cause__ or error.__context__
    if chain:
        event["exception"] = chain
    return event


def configure_logs(*, level: str, format: str, service: str) -> None:  # noqa: A002 - the setting's name
    """Send structlog and the standard library's warnings to standard output, one line each."""
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer()
        if format == "json"
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    shared_processors: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _tell_where_not_what,
    ]
    structlog.configure(
        processors=[*shared_processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processor=renderer,
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared_processors],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    structlog.contextvars.bind_contextvars(service=service)
