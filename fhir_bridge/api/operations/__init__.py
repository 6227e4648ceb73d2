"""FHIR operations, one file each (R4 operations.html)."""
