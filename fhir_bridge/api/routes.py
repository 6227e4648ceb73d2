"""THE table: method, path, interaction, who may, handler.

Everything follows from it: dispatch, scope checks, the CapabilityStatement and the refusal
tests. Adding an operation is one file and one row; the access column cannot be left out.
"""

from __future__ import annotations

from fhir_bridge.api.contract import Access, AccessKind, Body, Handler, Route, Style
from fhir_bridge.api.endpoints import health, ledger, metrics, smart_configuration, token
from fhir_bridge.api.endpoints.metadata import operation_definition
from fhir_bridge.api.interactions import (
    bundle,
    create,
    delete,
    history,
    read,
    search,
    update,
    vread,
)
from fhir_bridge.api.operations import disclosures, everything, ledger_proof
from fhir_bridge.terms import Interaction as I

__all__ = ["PUBLIC", "routes", "scope"]

PUBLIC = Access(AccessKind.PUBLIC)
PER_ENTRY = Access(AccessKind.PER_ENTRY)
AUDITOR = Access(AccessKind.AUDITOR)
LOCAL = Access(AccessKind.LOCAL)


def scope(letters: str, *also: tuple[str, str]) -> Access:
    """Every letter for the type in the path, and every (type, letters) pair of ``also``."""
    return Access(AccessKind.SCOPE, (("", letters), *also))


def routes(serve_metadata: Handler) -> tuple[Route, ...]:
    """The table; the CapabilityStatement handler is passed in because it is made from it."""
    return (*_fhir(serve_metadata), *_other())


def _fhir(serve_metadata: Handler) -> tuple[Route, ...]:
    one, version = "/fhir/{type}/{id}", "/fhir/{type}/{id}/_history/{version}"
    by_form = search.search_by_post
    return (
        Route("GET", "/fhir/metadata", I.CAPABILITIES, PUBLIC, serve_metadata),
        Route("POST", "/fhir", I.TRANSACTION, PER_ENTRY, bundle.bundle, body=Body.BUNDLE),
        Route("GET", "/fhir", None, PER_ENTRY, search.next_page),
        Route("GET", "/fhir/{type}", I.SEARCH, scope("s"), search.search),
        Route("POST", "/fhir/{type}/_search", I.SEARCH, scope("s"), by_form, body=Body.FORM),
        Route("POST", "/fhir/{type}", I.CREATE, scope("c"), create.create, body=Body.RESOURCE),
        Route("GET", one, I.READ, scope("r"), read.read),
        Route("PUT", one, I.UPDATE, scope("u"), update.update, body=Body.RESOURCE),
        Route("DELETE", one, I.DELETE, scope("d"), delete.delete),
        Route("GET", one + "/_history", I.HISTORY_INSTANCE, scope("r"), history.history),
        Route("GET", version, I.VREAD, scope("r"), vread.vread),
        _operation("/fhir/Patient/{id}/$everything", scope("rs"), everything.everything),
        _operation(
            "/fhir/Patient/{id}/$disclosures",
            scope("r", ("AuditEvent", "s")),
            disclosures.disclosures,
        ),
        _operation(one + "/$ledger-proof", scope("r"), ledger_proof.ledger_proof, Style.PLAIN),
        _operation(version + "/$ledger-proof", scope("r"), ledger_proof.ledger_proof, Style.PLAIN),
        Route("GET", "/fhir/metadata/operations/{name}", None, PUBLIC, operation_definition),
    )


def _operation(template: str, access: Access, handler: Handler, style: Style = Style.FHIR) -> Route:
    """An operation by GET; its name is the last segment without ``$`` (R4 operations.html)."""
    name = template.rpartition("$")[2]
    return Route("GET", template, I.OPERATION, access, handler, style, operation=name)


def _other() -> tuple[Route, ...]:
    smart = smart_configuration.smart_configuration
    plain, oauth, form = Style.PLAIN, Style.OAUTH, Body.FORM
    return (
        Route("GET", "/fhir/.well-known/smart-configuration", None, PUBLIC, smart, plain),
        Route("POST", "/auth/token", None, PUBLIC, token.token, oauth, form),
        Route("GET", "/auth/jwks", None, PUBLIC, token.jwks, oauth),
        Route("POST", "/auth/introspect", None, PUBLIC, token.introspect, oauth, form),
        Route("POST", "/auth/revoke", None, PUBLIC, token.revoke, oauth, form),
        Route("GET", "/ledger/checkpoint", None, PUBLIC, ledger.checkpoint, plain),
        Route("GET", "/ledger/tile/entries/{path*}", None, AUDITOR, ledger.entry_tile, plain),
        Route("GET", "/ledger/tile/{path*}", None, PUBLIC, ledger.tile, plain),
        Route("GET", "/ledger/proof/{entry}", None, AUDITOR, ledger.entry_proof, plain),
        Route("GET", "/health/live", None, PUBLIC, health.live, plain),
        Route("GET", "/health/ready", None, PUBLIC, health.ready, plain),
        Route("GET", "/metrics", None, LOCAL, metrics.metrics, plain),
    )
