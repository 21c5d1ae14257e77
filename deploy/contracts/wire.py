"""The parts of an AsyncAPI document that all services share: servers, security, headers."""

from __future__ import annotations

from typing import Any, Final

BINDING: Final = {"bindingVersion": "0.5.0"}
KAFKA_MESSAGE: Final = {"kafka": BINDING}

SERVERS: Final[dict[str, Any]] = {
    "secured": {
        "host": "{bootstrap}",
        "protocol": "kafka-secure",
        "title": "A Kafka cluster with TLS",
        "description": (
            "Each service, HR platform and reader is a Kafka user of its own and has just the "
            "rights that its topics need."
        ),
        "variables": {
            "bootstrap": {
                "default": "kafka.example.com:9093",
                "description": "Bootstrap servers; ask your operators.",
            }
        },
        "security": [
            {"$ref": f"#/components/securitySchemes/{name}"}
            for name in ("scramSha512", "scramSha256", "oauth", "mutualTls", "saslPlain")
        ],
    },
    "local": {
        "host": "{bootstrap}",
        "protocol": "kafka",
        "title": "The local stack",
        "description": "What `make up` starts on this machine: no passwords, no encryption.",
        "variables": {
            "bootstrap": {"default": "127.0.0.1:9092", "description": "As `make up` prints it."}
        },
    },
}

SECURITY: Final[dict[str, Any]] = {
    "scramSha512": {"type": "scramSha512", "description": "SASL SCRAM-SHA-512 over TLS."},
    "scramSha256": {"type": "scramSha256", "description": "SASL SCRAM-SHA-256 over TLS."},
    "saslPlain": {"type": "plain", "description": "SASL PLAIN; over TLS only."},
    "mutualTls": {"type": "X509", "description": "A client certificate (mutual TLS)."},
    "oauth": {
        "type": "oauth2",
        "description": "SASL OAUTHBEARER with a token of the company's identity provider.",
        "flows": {
            "clientCredentials": {
                "tokenUrl": "https://identity.example.com/oauth2/token",
                "availableScopes": {},
            }
        },
    },
}

_TEXT: Final = {"type": "string", "minLength": 1, "maxLength": 500}

CLOUD_EVENT_HEADERS: Final[dict[str, Any]] = {
    "title": "CloudEventHeaders",
    "description": "CloudEvents 1.0 in Kafka binary mode: attributes are headers, in UTF-8.",
    "type": "object",
    "required": ["ce_specversion", "ce_id", "ce_source", "ce_type"],
    "properties": {
        "ce_specversion": {"type": "string", "const": "1.0", "description": "Always 1.0."},
        "ce_id": {
            **_TEXT,
            "description": (
                "Names the event together with ce_source; a record that comes again has the same "
                "and takes effect once. Ours are UUIDs of version 7."
            ),
        },
        "ce_source": {
            **_TEXT,
            "description": "Who says so: urn:updraft:<service>, or the HR platform's own URI.",
        },
        "ce_type": {**_TEXT, "description": "The event type with its version."},
        "ce_subject": {**_TEXT, "description": "What it is about; the same as the key."},
        "ce_time": {
            "type": "string",
            "format": "date-time",
            "description": "When it happened, RFC 3339 with a zone.",
        },
        "ce_origintime": {
            "type": "string",
            "format": "date-time",
            "description": "When the first fact happened that led to this event, RFC 3339.",
        },
        "ce_dataschema": {
            "type": "string",
            "format": "uri",
            "description": "The JSON Schema of the value, by its $id.",
        },
        "content-type": {
            "type": "string",
            "description": "application/json; absent means the same.",
        },
        "traceparent": {
            "type": "string",
            "pattern": "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$",
            "description": "W3C Trace Context: the trace that this event is part of.",
        },
        "ce_correlationid": {
            **_TEXT,
            "description": "The same for all events that one first fact led to: that fact's ce_id.",
        },
        "ce_causationid": {
            **_TEXT,
            "description": "The ce_id of the event that led to this one; absent on a first one.",
        },
    },
}

STRUCTURED_HEADERS: Final[dict[str, Any]] = {
    "title": "StructuredHeaders",
    "description": "CloudEvents 1.0 in structured mode: the attributes are in the value.",
    "type": "object",
    "required": ["content-type"],
    "properties": {
        "content-type": {
            "type": "string",
            "const": "application/cloudevents+json",
            "description": "Says that the value is a whole CloudEvent.",
        },
        "traceparent": CLOUD_EVENT_HEADERS["properties"]["traceparent"],
    },
}

DEAD_LETTER_HEADERS: Final[dict[str, Any]] = {
    "title": "DeadLetterHeaders",
    "description": (
        "The original's headers, percent-encoded where they are not printable ASCII, and why and "
        "whence the record was set aside."
    ),
    "type": "object",
    "required": ["updraft-reason", "updraft-topic", "updraft-partition", "updraft-offset"],
    "properties": {
        "updraft-reason": {
            "type": "string",
            "description": "Field, reason and remedy, percent-encoded; no value of the record.",
        },
        "updraft-kind": {
            "type": "string",
            "description": (
                "unreadable, rejected by a rule, failed in a handler, of an unknown type, an id "
                "used twice, or waiting behind another record of its key."
            ),
        },
        "updraft-attempts": {
            "type": "string",
            "pattern": r"^\d+$",
            "description": "How often it was tried before it was set aside.",
        },
        "updraft-topic": {"type": "string", "description": "The topic that the record came from."},
        "updraft-partition": {
            "type": "string",
            "pattern": r"^\d+$",
            "description": "Its partition there.",
        },
        "updraft-offset": {
            "type": "string",
            "pattern": r"^\d+$",
            "description": "Its offset there.",
        },
        "updraft-truncated-from": {
            "type": "string",
            "pattern": r"^\d+$",
            "description": "Bytes of the original value, where only its beginning fitted.",
        },
        "updraft-headers-left-out": {
            "type": "string",
            "pattern": r"^\d+$",
            "description": "How many headers the original had, where they did not fit.",
        },
    },
}

DEAD_LETTER: Final[dict[str, Any]] = {
    "name": "DeadLetter",
    "title": "DeadLetter",
    "summary": "A record that could not be handled, as it came, with the reason in headers.",
    "description": (
        "Nothing is lost by it: the service keeps the record too, and operators have it applied "
        "again or dropped there. Key and value are the original's bytes."
    ),
    "contentType": "application/octet-stream",
    "headers": {"$ref": "#/components/schemas/DeadLetterHeaders"},
    "payload": {"$ref": "#/components/schemas/OriginalValue"},
    "bindings": {
        "kafka": {
            "key": {"type": "string", "description": "The original's key."},
            **BINDING,
        }
    },
    "examples": [
        {
            "name": "NoSequence",
            "summary": "An HR record that lacks a required field.",
            "headers": {
                "ce_specversion": "1.0",
                "ce_id": "a81",
                "ce_source": "urn:hr:example",
                "ce_type": "updraft.hr.employee-recorded.v1",
                "updraft-reason": "sequence: Field required",
                "updraft-kind": "unreadable",
                "updraft-attempts": "1",
                "updraft-topic": "hr.employees",
                "updraft-partition": "2",
                "updraft-offset": "4711",
            },
            "payload": '{"employeeId": "E17", "effectiveDate": "2027-03-01"}',
        }
    ],
}

ORIGINAL_VALUE: Final[dict[str, Any]] = {
    "title": "OriginalValue",
    "type": ["string", "null"],
    "format": "binary",
    "description": "The bytes of the original value, whatever they are; null for none.",
}
