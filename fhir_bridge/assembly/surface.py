"""What the door shows, from the tables and the settings."""

from __future__ import annotations

from fhir_bridge import __version__
from fhir_bridge.api import ApiLimits, ApiSettings, SearchParam, Surface
from fhir_bridge.config import Settings
from fhir_bridge.fhir import RESOURCE_TYPES, search_parameters
from fhir_bridge.search import parameters

__all__ = ["api_settings", "surface"]


def surface() -> Surface:
    """Every R4 type with the search parameters that are served."""
    types = tuple(sorted(RESOURCE_TYPES))
    urls = {(base, p["code"]): p["url"] for p in search_parameters() for base in p["base"]}
    search: dict[str, list[SearchParam]] = {}
    includes: dict[str, list[str]] = {}
    reverse: dict[str, list[str]] = {}
    for type_ in types:
        found = parameters(type_)
        search[type_] = [
            SearchParam("_id", "token"),
            SearchParam("_lastUpdated", "date"),
            *(SearchParam(p.code, p.type, urls.get((type_, p.code), "")) for p in found.values()),
        ]
        for parameter in found.values():
            if parameter.type == "reference":
                name = f"{type_}:{parameter.code}"
                includes.setdefault(type_, []).append(name)
                for target in parameter.targets:
                    reverse.setdefault(target, []).append(name)
    return Surface(types, search, includes, reverse)


def api_settings(settings: Settings) -> ApiSettings:
    """The door's settings."""
    http = settings.http
    return ApiSettings(
        http.base_url,
        http.behind_proxy,
        http.metrics_token,
        __version__,
        ApiLimits(
            max_resource_bytes=http.max_resource_bytes,
            max_bundle_bytes=http.max_body_bytes,
            max_parameters=http.max_parameters,
            max_in_flight=http.max_in_flight,
            max_requests_per_second=http.max_requests_per_second,
            body_deadline_s=http.read_timeout_s,
            handler_deadline_s=http.handler_timeout_s,
            idle_deadline_s=http.header_timeout_s,
        ),
    )
