"""FHIR records on an encrypted, provable ledger, released by consent.

The map of the house, top to bottom; each layer imports only from those below it:

    cli          one file per noun of the command line
    assembly     the only place where things are built; the processes of a node
    config       settings from TOML and environment
    api          door: FHIR REST, token endpoint, tiles
    exchange     the story: ingest, bundle, disclose, account, erase, prove, rebuild
    labels consent search keys ledger locator audit smart
                 rooms; strangers to each other
    fhir fbe1    languages: R4 resources; the byte layouts of the ledger
    terms clock errors
                 nouns, time, one tree of errors

Doors call exchange, exchange calls rooms, rooms speak languages; nobody calls up or sideways.
"""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
