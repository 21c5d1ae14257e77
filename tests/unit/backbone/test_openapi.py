"""What `/openapi.json` of each service tells whoever writes a client."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from deploy.local.postgres import SERVICES

OPEN_TO_ALL = {"/livez", "/readyz", "/l/{token}", "/u/{token}"}


def _document(service: str) -> dict[str, Any]:
    settings = import_module(f"services.{service}.settings").Settings
    secret = {"links": {"secret": "x" * 32}} if "links" in settings.model_fields else {}
    app = import_module(f"services.{service}.app").create_app(settings.model_validate(secret))
    document: dict[str, Any] = app.openapi()
    return document


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation


@pytest.mark.parametrize("service", SERVICES)
def test_what_needs_a_token_says_so_and_how_it_refuses(service: str) -> None:
    document = _document(service)
    assert document["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
    secured = {
        name: operation
        for name, operation in _operations(document)
        if name.split()[1] not in OPEN_TO_ALL
    }
    assert secured
    for name, operation in secured.items():
        assert operation["security"] == [{"HTTPBearer": []}], name
        for status in ("401", "403", "422"):
            content = operation["responses"][status]["content"]
            assert content.keys() == {"application/problem+json"}, f"{name} {status}"


@pytest.mark.parametrize("service", SERVICES)
def test_what_is_open_to_all_asks_for_no_token(service: str) -> None:
    for name, operation in _operations(_document(service)):
        if name.split()[1] in OPEN_TO_ALL:
            assert "security" not in operation, name
