"""The keys of a stack."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

from pm_strength.local.keys import StackKeys, role_token


def test_a_token_is_a_jwt_that_others_can_check() -> None:
    head, body, signature = role_token("s3cret", "anon", {"sub": "u"}).split(".")
    expected = hmac.new(b"s3cret", f"{head}.{body}".encode(), hashlib.sha256).digest()
    assert base64.urlsafe_b64decode(signature + "==") == expected
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    assert (claims["role"], claims["sub"]) == ("anon", "u")


def test_keys_are_new_each_time_and_not_shown() -> None:
    first, second = StackKeys.generate(), StackKeys.generate()
    assert set(first.to_dict().values()).isdisjoint(second.to_dict().values())
    assert all(value not in repr(first) for value in first.to_dict().values())
