"""Addresses that are not FHIR interactions: discovery, tokens, the ledger, health."""
