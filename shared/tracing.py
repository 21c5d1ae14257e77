"""Traces: one event followed through all services, by OpenTelemetry; off unless asked for.

The `traceparent` header (W3C Trace Context) travels with every event whether spans are recorded or
not. Where they are, an event's publication, its application and an HTTP request are spans, which
are sent only when their transaction has committed.
"""

from __future__ import annotations

import re
from random import getrandbits
from typing import Any, Literal, TypeAlias

TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
Kind: TypeAlias = Literal["PRODUCER", "CONSUMER", "SERVER"]

# OpenTelemetry's span, whose package is there only where traces are wanted.
Span: TypeAlias = Any

_tracer: Any = None


def use(provider: Any) -> None:
    """Record spans by an OpenTelemetry TracerProvider from now on; None stops that."""
    global _tracer
    _tracer = provider.get_tracer("updraft") if provider is not None else None


def recording() -> bool:
    """Whether spans are recorded at all."""
    return _tracer is not None


def export_to(endpoint: str, *, service: str, share: float) -> Any:
    """A provider that sends a share of all traces to an OTLP/HTTP endpoint, in the background.

    Its `shutdown()` sends what is left. Raises RuntimeError where OpenTelemetry is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
    except ImportError:
        raise RuntimeError(
            "UPDRAFT_TRACES__ENDPOINT: needs OpenTelemetry; install `updraft[traces]` or unset it"
        ) from None
    provider = TracerProvider(
        resource=Resource.create({"service.name": f"updraft-{service}"}),
        sampler=ParentBased(TraceIdRatioBased(share)),
    )
    # A collector that is down must not hold up a stop.
    exporter = OTLPSpanExporter(endpoint=endpoint, timeout=2)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def start(name: str, kind: Kind, parent: str | None, **attributes: str) -> Span | None:
    """A span under the parent's traceparent; None where none are recorded."""
    if _tracer is None:
        return None
    from opentelemetry import trace

    return _tracer.start_span(
        name,
        context=_context(parent),
        kind=getattr(trace.SpanKind, kind),
        attributes=attributes,
    )


def traceparent(span: Span | None, parent: str | None) -> str:
    """The header for what follows: the span's, else one more step in the parent's trace."""
    if span is not None:
        at = span.get_span_context()
        return f"00-{at.trace_id:032x}-{at.span_id:016x}-{int(at.trace_flags):02x}"
    usable = readable(parent)
    if usable:
        return f"00-{usable[3:35]}-{getrandbits(64):016x}-{usable[-2:]}"
    return f"00-{getrandbits(128):032x}-{getrandbits(64):016x}-01"


def readable(text: str | None) -> str | None:
    """A W3C traceparent, or None: a broken trace must not cost its record."""
    return text if text is not None and TRACEPARENT.fullmatch(text) else None


def _context(parent: str | None) -> Any:
    from opentelemetry import trace
    from opentelemetry.context import Context

    usable = readable(parent)
    if usable is None:
        return Context()
    _, trace_id, span_id, flags = usable.split("-")
    remote = trace.SpanContext(
        int(trace_id, 16),
        int(span_id, 16),
        is_remote=True,
        trace_flags=trace.TraceFlags(int(flags, 16)),
    )
    return trace.set_span_in_context(trace.NonRecordingSpan(remote), Context())
