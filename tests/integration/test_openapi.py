"""The functions keep to their OpenAPI document, whatever they are sent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

FUNCTIONS = Path(__file__).parents[2] / "supabase" / "functions"
SCHEMA = schemathesis.openapi.from_path(FUNCTIONS / "openapi.yaml")
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
]


@pytest.mark.usefixtures("clean")
@SCHEMA.parametrize()
@settings(
    max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True
)
def test_the_functions_keep_to_their_document(case: schemathesis.Case, variables: dict[str, str]) -> None:
    case.call_and_validate(
        base_url=f"{variables['API_URL']}/functions/v1",
        headers={"apikey": variables["SECRET_KEY"]},
        checks=CHECKS,
    )


def test_the_examples_of_the_document_are_taken(variables: dict[str, str], clean: None) -> None:
    import httpx

    for path, wanted in (("/strands", 201), ("/sizing", 200)):
        body = SCHEMA.raw_schema["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        for example in body["examples"].values():
            answer = httpx.post(
                f"{variables['API_URL']}/functions/v1{path}",
                json=example["value"],
                headers={"apikey": variables["SECRET_KEY"]},
            )
            assert answer.status_code == wanted, answer.text
            assert "bad_input" not in answer.text


def test_each_function_has_the_same_packages_and_is_in_the_document() -> None:
    whole = json.loads((FUNCTIONS / "deno.json").read_text())
    names = sorted(path.parent.name for path in FUNCTIONS.glob("*/index.ts"))
    assert names == ["learning", "sizing", "strands"]
    assert sorted(SCHEMA.raw_schema["paths"]) == [f"/{name}" for name in names]
    config = (FUNCTIONS.parent / "config.toml").read_text()
    for name in names:
        own = json.loads((FUNCTIONS / name / "deno.json").read_text())
        assert own["imports"] == whole["imports"]
        assert f"[functions.{name}]" in config
