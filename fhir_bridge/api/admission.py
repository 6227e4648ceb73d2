"""Who may pass the door: token, scope, role, address, rate; before any room is asked.

SMART App Launch 2.2 §scopes; RFC 6750. A scope refusal is 403 and tells nothing about data:
it is decided from the table and the token alone.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping, Sequence

from fhir_bridge.api.contract import Access, AccessKind, Exchange
from fhir_bridge.api.fields import Fields
from fhir_bridge.clock import Clock
from fhir_bridge.errors import Busy, Forbidden, Unauthenticated
from fhir_bridge.terms import Requester

__all__ = ["Rates", "admit", "admit_local", "client_address", "is_loopback"]

_AUDITOR = "auditor"
_AUDITS = frozenset("rs")


def admit(
    exchange: Exchange, headers: Fields, access: Access, params: Mapping[str, str]
) -> Requester:
    """The requester, if the token may do this at all."""
    requester = exchange.check_token(_authorization(headers))
    if not _permits(requester, access, params):
        raise Forbidden("the token's scopes do not allow this", code="scope")
    return requester


def _authorization(headers: Fields) -> Sequence[str]:
    values = headers.lines("Authorization")
    if not values:
        raise Unauthenticated("send an access token: Authorization: Bearer …", code="no-token")
    if len(values) > 1:
        raise Unauthenticated("more than one Authorization header", code="two-tokens")
    if not values[0].isascii():
        raise Unauthenticated("the Authorization header is not ASCII", code="invalid-token")
    return values


def _permits(requester: Requester, access: Access, params: Mapping[str, str]) -> bool:
    if access.kind is AccessKind.PER_ENTRY:
        return bool(requester.scopes)
    if access.kind is AccessKind.AUDITOR:
        return _AUDITOR in requester.roles and any(
            s.context == "system" and s.type == "*" and s.letters >= _AUDITS
            for s in requester.scopes
        )
    return access.kind is AccessKind.SCOPE and all(
        requester.permits(type_ or params["type"], letter)
        for type_, letters in access.needs
        for letter in letters
    )


def admit_local(headers: Fields, peer: str, metrics_token: str) -> None:
    """A loopback client that no proxy speaks for, or the bearer of the metrics token."""
    forwarded = headers.get("X-Forwarded-For") or headers.get("Forwarded")
    if is_loopback(peer) and not forwarded:
        return
    given = headers.lines("Authorization")
    wanted = f"Bearer {metrics_token}".encode()
    if metrics_token and len(given) == 1:
        offered = given[0].encode("utf-8", "surrogateescape")
        if hmac.compare_digest(offered, wanted):
            return
    raise Unauthenticated("from this machine only, or with the metrics token", code="no-token")


def is_loopback(address: str) -> bool:
    """Whether an address is this machine's own."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def client_address(headers: Fields, peer: str, behind_proxy: bool) -> str:
    """The client's network address; the proxy's word only where there is one."""
    if not behind_proxy:
        return peer
    last = (headers.get("X-Forwarded-For") or "").rpartition(",")[2].strip()
    try:
        return str(ipaddress.ip_address(last))
    except ValueError:
        return peer


class Rates:
    """A bucket per client: ``per_second`` requests, as many at once; 429 beyond (RFC 6585 §4)."""

    def __init__(self, per_second: int, clock: Clock) -> None:
        self._rate = per_second
        self._clock = clock
        self._buckets: dict[str, tuple[float, int]] = {}

    def take(self, client_id: str) -> None:
        """Take one from the client's bucket. The number of buckets is that of known clients."""
        if not self._rate:
            return
        now = self._clock.now_us()
        left, then = self._buckets.get(client_id, (float(self._rate), now))
        left = min(float(self._rate), left + max(0, now - then) * self._rate / 1e6)
        if left < 1:
            raise Busy("too many requests per second for this client", code="rate-limited")
        self._buckets[client_id] = (left - 1, now)
