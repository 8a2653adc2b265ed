"""How news is signed with a token that both sides have: what Flux calls generic-hmac."""

import hashlib
import hmac


def signature(token: bytes, body: bytes) -> str:
    """The value of `X-Signature`: `sha256=<hex HMAC of the body>` (fluxcd.io, Receivers and Alerts)."""
    return f"sha256={hmac.new(token, body, hashlib.sha256).hexdigest()}"
