"""The functions keep to their OpenAPI document, whatever they are sent."""

from __future__ import annotations

import json
import shutil
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

from pm_strength.errors import StackError
from pm_strength.local.binaries import fetch_packages

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
        # the runtime of hosted projects may not know this format of the lock: it starts no function then
        assert own["lock"] is False
        assert not (FUNCTIONS / name / "deno.lock").exists()
        assert f"[functions.{name}]" in config
        # the embedded stack loads handler.ts, every other runtime index.ts
        index = (FUNCTIONS / name / "index.ts").read_text()
        assert index == 'import { handler } from "./handler.ts";\nDeno.serve(handler);\n'


def test_packages_are_locked_with_hashes_wherever_they_come_from() -> None:
    text = (FUNCTIONS / "deno.lock").read_text()
    lock, config = json.loads(text), json.loads((FUNCTIONS / "deno.json").read_text())
    assert config["lock"] == {"path": "deno.lock", "frozen": True}
    assert sorted(lock["specifiers"]) == sorted(config["imports"].values())
    assert all(package["integrity"].startswith("sha512-") for package in lock["npm"].values())
    assert "http" not in text


def test_a_package_that_the_lock_does_not_hold_is_not_taken(tmp_path: Path) -> None:
    folder = tmp_path / "functions"
    shutil.copytree(FUNCTIONS, folder)
    lock = json.loads((folder / "deno.lock").read_text())
    [zod] = [name for name in lock["npm"] if name.startswith("zod@")]
    del lock["npm"][zod], lock["specifiers"][f"npm:{zod}"]
    (folder / "deno.lock").write_text(json.dumps(lock))
    with pytest.raises(StackError, match="Could not fetch"):
        fetch_packages(folder)
