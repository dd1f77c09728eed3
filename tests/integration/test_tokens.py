"""Users' tokens that a private key signed (ES256), through the gateway, the functions and PostgREST.

The public keys are given (SUPABASE_JWKS on a hosted project), or asked of the Auth server.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm

from pm_strength.errors import StackError
from pm_strength.local.keys import StackKeys, role_token, sign, verification_keys
from pm_strength.local.process import Daemon
from pm_strength.local.services import JWKS_VARIABLE, start_functions
from pm_strength.local.stack import Stack, _free_port

KEY, OTHER = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
PUBLIC: dict[str, Any] = {
    **json.loads(ECAlgorithm.to_jwk(KEY.public_key())),
    "kid": "one",
    "alg": "ES256",
    "use": "sig",
}
PEM = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
USER = {"role": "authenticated", "sub": "u", "exp": 2_085_000_000}
READER = {**USER, "app_metadata": {"pm_strength": "read"}}
REQUEST = {"pattern_key": "p", "action_category": "entry", "scope": {"rank": 2}}
STRAND = {"id": "e", "module": "m", "kind": "k", "content": {}}


def es256(claims: dict[str, Any], key: ec.EllipticCurvePrivateKey = KEY, kid: str | None = "one") -> str:
    return jwt.encode(claims, key, algorithm="ES256", headers={} if kid is None else {"kid": kid})


def with_algorithm(token: str, algorithm: str) -> str:
    """The same claims and signature under a header that says something else."""
    head = base64.urlsafe_b64encode(json.dumps({"alg": algorithm, "kid": "one"}).encode()).rstrip(b"=")
    _, body, signature = token.split(".")
    return f"{head.decode()}.{body}.{'' if algorithm == 'none' else signature}"


def with_claims(token: str, claims: dict[str, Any]) -> str:
    head, _, signature = token.split(".")
    return f"{head}.{es256(claims).split('.')[1]}.{signature}"


# token, and what sizing and strands answer to it
TOKENS: dict[str, tuple[str, int, int]] = {
    "a reader": (es256(READER), 200, 403),
    "a reader whose token names no key": (es256(READER, kid=None), 200, 403),
    "a user without the claim": (es256(USER), 403, 403),
    "a user with metadata of his own": (
        es256({**USER, "user_metadata": {"pm_strength": "read"}}),
        403,
        403,
    ),
    "the service": (es256({**USER, "role": "service_role"}), 200, 201),
    "another role": (es256({**READER, "role": "postgres"}), 403, 403),
    "another key under the same name": (es256(READER, OTHER), 401, 401),
    "a key that nobody knows": (es256(READER, OTHER, "two"), 401, 401),
    "expired": (es256({**READER, "exp": int(time.time()) - 3600}), 401, 401),
    "not valid yet": (es256({**READER, "nbf": int(time.time()) + 3600}), 401, 401),
    "other claims under a signature": (with_claims(es256(USER), READER), 401, 401),
    "unsigned": (with_algorithm(es256(READER), "none"), 401, 401),
    "signed with the public key as it is printed": (sign(PEM, READER), 401, 401),
    "signed with the public key in JSON": (sign(json.dumps(PUBLIC), READER), 401, 401),
    "a signature of another kind": (with_algorithm(es256(READER), "HS256"), 401, 401),
    "an algorithm that there is none of": (with_algorithm(es256(READER), "ES257"), 401, 401),
}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that knows the public key."""
    stack = Stack(tmp_path_factory.mktemp("tokens"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(JWKS_VARIABLE, json.dumps({"keys": [PUBLIC]}))
        stack.up()
    yield stack
    stack.down(purge=True)


@pytest.fixture(scope="module")
def api_url(own: Stack) -> str:
    status = own.status()
    assert status is not None
    return status.api_url


@pytest.fixture(scope="module")
def keys(own: Stack) -> StackKeys:
    status = own.status()
    assert status is not None
    return status.keys


class Project(ThreadingHTTPServer):
    """A project's address: an Auth server that answers as told, and the stack's PostgREST."""

    daemon_threads = True

    def __init__(self, api_url: str) -> None:
        super().__init__(("127.0.0.1", 0), ProjectHandler)
        self.api_url = api_url
        self.mode = "good"
        self.asked = 0
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class ProjectHandler(BaseHTTPRequestHandler):
    server: Project

    def do_GET(self) -> None:
        assert self.path == "/auth/v1/.well-known/jwks.json"
        self.server.asked += 1
        answer = {"good": 200, "drips": 200, "garbage": 200, "down": 503, "gone": 404}
        if self.server.mode == "hangs":
            self.server.closing.wait(60)
            return
        self.send_response(answer[self.server.mode])
        self.send_header("content-type", "application/json")
        self.end_headers()
        if self.server.mode == "drips":
            while not self.server.closing.wait(0.5):
                self.wfile.write(b" ")
        self.wfile.write(b"{" if self.server.mode == "garbage" else json.dumps({"keys": [PUBLIC]}).encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name: self.headers[name] for name in ("apikey", "authorization", "content-type", "prefer")}
        given = {name: value for name, value in headers.items() if value is not None}
        answer = httpx.post(self.server.api_url + self.path, content=body, headers=given)
        self.send_response(answer.status_code)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(answer.content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def functions_of_a_project(
    folder: Path, api_url: str, keys: StackKeys, mode: str = "good"
) -> Iterator[tuple[str, Project]]:
    """Functions that were given no public keys, and the project that they are of."""
    project = Project(api_url)
    project.mode = mode
    threading.Thread(target=project.serve_forever, daemon=True).start()
    daemon: Daemon | None = None
    try:
        port = _free_port(set())
        daemon = start_functions(folder, port, project.url, keys)
        yield f"http://127.0.0.1:{port}", project
    finally:
        if daemon is not None:
            daemon.stop()
        project.closing.set()
        project.shutdown()
        project.server_close()


def call(base: str, token: str, path: str = "/sizing", body: object = REQUEST) -> httpx.Response:
    return httpx.post(base + path, json=body, headers={"authorization": f"Bearer {token}"}, timeout=30)


def check_tokens(base: str, keys: StackKeys) -> None:
    own = {"with the project's own secret": (role_token(keys.jwt_secret, "authenticated", READER), 200, 403)}
    for name, (token, sizing, strands) in (TOKENS | own).items():
        sized = call(base, token)
        assert sized.status_code == sizing, (name, sized.text)
        if sizing == 200:
            # PostgREST took it too
            assert (sized.json()["reason"], "x-pm-strength" in sized.headers) == ("no_match", False), name
        assert call(base, token, "/strands", STRAND).status_code == strands, name


def test_tokens_are_checked_with_the_keys_that_are_given(api_url: str, keys: StackKeys) -> None:
    check_tokens(f"{api_url}/functions/v1", keys)


def test_tokens_are_checked_with_the_keys_of_the_auth_server(
    tmp_path: Path, api_url: str, keys: StackKeys
) -> None:
    with functions_of_a_project(tmp_path, api_url, keys) as (base, project):
        check_tokens(base, keys)
        # once for all: a name that nobody knows asks again no sooner than 30 s later
        assert project.asked == 1


@pytest.mark.parametrize(
    ("mode", "status"),
    [
        *(("down", 503), ("garbage", 503), ("hangs", 503), ("gone", 401)),
        pytest.param("drips", 503, marks=pytest.mark.slow),
    ],
)
def test_an_auth_server_that_says_nothing_keeps_nobody_waiting(
    tmp_path: Path, api_url: str, keys: StackKeys, mode: str, status: int
) -> None:
    with functions_of_a_project(tmp_path, api_url, keys, mode) as (base, project):
        started = time.monotonic()
        answer = call(base, es256(READER))
        assert (answer.status_code, answer.json()["code"]) == (
            status,
            "unavailable" if status == 503 else "unauthorized",
        )
        assert time.monotonic() - started < 20
        # other callers need no Auth server, and a forged token not either
        assert call(base, keys.secret_key).status_code == 200
        assert call(base, role_token(keys.jwt_secret, "authenticated", READER)).status_code == 200
        assert call(base, with_algorithm(es256(READER), "none")).status_code == 401
        if status == 503:
            project.mode = "good"
            assert call(base, es256(READER)).status_code == 200


@pytest.mark.parametrize("name", TOKENS)
def test_postgrest_checks_the_same_for_itself(api_url: str, keys: StackKeys, name: str) -> None:
    token, sizing, _ = TOKENS[name]
    headers = {"apikey": keys.publishable_key, "authorization": f"Bearer {token}"}
    answer = httpx.post(f"{api_url}/rest/v1/rpc/resolve_pm_strength", json=REQUEST, headers=headers)
    assert (answer.status_code == 200) == (sizing == 200), answer.text
    if sizing == 401:
        assert answer.status_code == 401, answer.text


def test_keys_that_are_none_are_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in ("{", "[]", '{"keys": 5}'):
        with pytest.raises(ValueError, match=r"."):
            verification_keys("secret", wrong)
    monkeypatch.setenv(JWKS_VARIABLE, "{")
    stack = Stack(tmp_path / "stack")
    try:
        with pytest.raises(StackError, match=JWKS_VARIABLE):
            stack.up(migrate_schema=False)
    finally:
        stack.down(purge=True)
