"""The canary: the share of trades that is sized by the shadow profile."""

from __future__ import annotations

from hashlib import sha256


def in_canary(trade_id: object, share: float) -> bool:
    """Whether a trade is one of the share: the first 32 bits of the SHA-256 of its id, as a share of all.

    `pm_strength.in_canary` does the same in SQL. No trade is, without an id.
    """
    if trade_id is None:
        return False
    digest = sha256(str(trade_id).lower().encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:4], "big") < share * 2**32
