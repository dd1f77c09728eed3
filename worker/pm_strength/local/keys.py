"""The keys of a stack, the same ones that a project has, and the password of its database."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ..errors import JsonError

# In 2036, as for the keys that the Supabase CLI makes: on a local stack keys need not expire.
EXPIRES = 2_085_000_000
# Of older stacks, which had no password of their own; `up` gives them one.
FIRST_PASSWORD = "postgres"  # noqa: S105


@dataclass(frozen=True, slots=True)
class StackKeys:
    """All keys of one stack; none is shown by repr."""

    jwt_secret: str = field(repr=False)
    anon_key: str = field(repr=False)
    service_role_key: str = field(repr=False)
    publishable_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    # A superuser can run programs as the user of the server, and every user of the machine can reach the
    # port: the password must be secret.
    db_password: str = field(repr=False, default=FIRST_PASSWORD)

    @classmethod
    def generate(cls) -> StackKeys:
        """New random keys."""
        jwt_secret = secrets.token_urlsafe(48)
        return cls(
            jwt_secret=jwt_secret,
            anon_key=role_token(jwt_secret, "anon"),
            service_role_key=role_token(jwt_secret, "service_role"),
            publishable_key="sb_publishable_" + secrets.token_urlsafe(24),
            secret_key="sb_secret_" + secrets.token_urlsafe(24),
            db_password=new_password(),
        )

    def to_dict(self) -> dict[str, str]:
        """The keys for the state file."""
        return asdict(self)


def new_password() -> str:
    """A random password that needs no escaping in an address."""
    return secrets.token_urlsafe(24)


def role_token(jwt_secret: str, role: str, claims: Mapping[str, Any] | None = None) -> str:
    """A signed JWT for a role; `claims` adds others, such as `app_metadata`, `sub` and `exp`."""
    payload = {"iss": "pm-strength-local", "role": role, "exp": EXPIRES} | dict(claims or {})
    return sign(jwt_secret, payload)


def sign(jwt_secret: str, payload: Mapping[str, Any]) -> str:
    """A JWT signed with HS256."""
    head = _segment(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    body = _segment(json.dumps(payload).encode())
    signature = hmac.new(jwt_secret.encode(), f"{head}.{body}".encode(), hashlib.sha256).digest()
    return f"{head}.{body}.{_segment(signature)}"


def verification_keys(jwt_secret: str, jwks: str | None) -> str:
    """What PostgREST checks tokens with: the secret, and the public keys of a JWKS if there is one.

    Raises `ValueError` if `jwks` is not a JWKS.
    """
    if not jwks:
        return jwt_secret
    given = json.loads(jwks)
    if not isinstance(given, dict) or not isinstance(given.get("keys"), list):
        raise JsonError("expected an object with a list of keys")
    own = {"kty": "oct", "alg": "HS256", "k": _segment(jwt_secret.encode())}
    return json.dumps({"keys": [own, *given["keys"]]})


def _segment(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
