"""search of one type by GET and by POST, and the pages that follow (R4 http.html#search)."""

from __future__ import annotations

import re

from fhir_bridge.api.contract import Call, Reply
from fhir_bridge.api.query import parse
from fhir_bridge.api.replies import bundle, search_pairs
from fhir_bridge.errors import Incorrect

__all__ = ["next_page", "search", "search_by_post"]

_CURSOR = re.compile(r"[A-Za-z0-9_\-.=~]+\Z")
"""As long as a request line may be."""


async def search(call: Call) -> Reply:
    """The matches that the requester may see."""
    answer = await call.exchange.search(
        call.who,
        call.info,
        call.params["type"],
        search_pairs(call),
        call.settings.base_url,
        lenient=call.prefer.lenient,
    )
    return bundle(answer)


async def search_by_post(call: Call) -> Reply:
    """The same with the parameters in a form, out of address logs; both places count."""
    try:
        form = call.body.decode("ascii")
    except UnicodeDecodeError as error:
        raise Incorrect("a form is percent-encoded ASCII", code="bad-form") from error
    call.pairs += parse(form, call.settings.limits.max_parameters - len(call.pairs))
    return await search(call)


async def next_page(call: Call) -> Reply:
    """The page behind a sealed cursor, authorised anew."""
    pairs = search_pairs(call)
    if len(pairs) != 1 or pairs[0][0] != "_page":
        raise Incorrect(
            "the base is searched by type only; here it takes the _page of a next link",
            code="system-search",
        )
    cursor = pairs[0][1]
    if _CURSOR.match(cursor) is None:
        raise Incorrect("_page is not a cursor of ours", code="bad-cursor")
    return bundle(
        await call.exchange.next_page(call.who, call.info, cursor, call.settings.base_url)
    )
