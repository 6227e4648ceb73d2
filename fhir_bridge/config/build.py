"""From a checked table to Settings: defaults, paths, addresses, and what contradicts itself."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fhir_bridge.config.schema import schema
from fhir_bridge.config.settings import (
    Consent,
    Http,
    Ledger,
    Node,
    Processes,
    Search,
    Settings,
    Smart,
)
from fhir_bridge.errors import Issue

__all__ = ["build", "contradictions"]


def build(
    stated: Mapping[str, Any], folder: Path, environ: Mapping[str, str], source: Path | None
) -> Settings:
    """The settings; what is not stated has its default, relative paths start at ``folder``."""
    full = _filled(schema(), stated)
    node, http, ledger = full["node"], full["http"], full["ledger"]
    member = node["member"]
    keys_folder = (
        _path(folder, node["keys"])
        if node["keys"]
        else _configuration_folder(environ) / "fhir-bridge" / member.replace("/", "_")
    )
    memory = ledger["head_memory"]
    consent = full["consent"]
    return Settings(
        node=Node(
            member=member,
            origin=node["origin"] or f"{member}/ledger",
            data=_path(folder, node["data"]),
            keys=keys_folder,
            profile=node["profile"],
        ),
        http=Http(**{**http, "base_url": http["base_url"] or _own_url(http)}),
        ledger=Ledger(
            checkpoint_interval_s=ledger["checkpoint_interval_s"],
            head_memory=_path(folder, memory) if memory else keys_folder / "head-memory",
        ),
        consent=Consent(
            emergency=consent["emergency"],
            self_purposes=tuple(consent["self_purposes"]),
            relations=consent["relations"],
        ),
        search=Search(**full["search"]),
        smart=Smart(**full["smart"]),
        processes=Processes(**full["processes"]),
        source=source,
    )


def contradictions(settings: Settings) -> Iterator[Issue]:
    """What no single key shows: keys beside data, records in the clear, limits crossed."""
    node, http = settings.node, settings.http
    if settings.search.default_count > settings.search.max_count:
        yield Issue("value", "must not be larger than search.max_count", "search.default_count")
    if http.max_resource_bytes > http.max_body_bytes:
        yield Issue(
            "value", "must not be larger than http.max_body_bytes", "http.max_resource_bytes"
        )
    if node.demo:
        return
    if node.keys == node.data or node.data in node.keys.parents:
        yield Issue(
            "value",
            "must not lie inside the data folder: whoever takes the data must not get the keys",
            "node.keys",
        )
    encrypted = http.base_url.startswith("https://")
    if not encrypted and not http.behind_proxy and not _is_loopback(http.host):
        yield Issue(
            "value",
            "is not loopback, and records would cross the network in the clear: put a proxy with"
            " TLS in front and set http.behind_proxy and an https http.base_url",
            "http.host",
        )
    if node.profile == "production" and not encrypted:
        yield Issue("value", "must be https in the profile production", "http.base_url")


def _filled(part: Mapping[str, Any], stated: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _filled(own, stated.get(name, {}))
        if "properties" in own
        else stated.get(name, own["default"])
        for name, own in part["properties"].items()
    }


def _path(folder: Path, text: str) -> Path:
    return Path(os.path.normpath(folder / Path(text).expanduser()))


def _configuration_folder(environ: Mapping[str, str]) -> Path:
    """XDG Base Directory 0.8: a relative $XDG_CONFIG_HOME is to be ignored."""
    stated = Path(environ.get("XDG_CONFIG_HOME", ""))
    home = Path(environ["HOME"]) if environ.get("HOME") else Path.home()
    return stated if stated.is_absolute() else home / ".config"


def _own_url(http: Mapping[str, Any]) -> str:
    host = "localhost" if http["host"] in ("0.0.0.0", "::") else http["host"]
    return f"http://{f'[{host}]' if ':' in host else host}:{http['port']}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
