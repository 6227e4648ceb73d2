"""Sensitivity labels, their hierarchy, and the key class each belongs to.

HL7 v3-ActCode InformationSensitivityPolicy and v3-Confidentiality as published with R4 4.0.1
(CC0): SPI ⊃ {BH ⊃ {COGN, DVD, EMOTDIS}, MH, PSY, PSYTHPN, SUD ⊃ {ETHUD, OPIOIDUD}}. ETH is a
sibling of SPI there, not the parent of ETHUD; it is declared equivalent to SUD here, so that a
rule on either reaches both.
"""

from __future__ import annotations

__all__ = ["CATEGORIES", "CLASSES", "CLASS_OF", "CONFIDENTIALITY", "closure"]

CATEGORIES: dict[str, frozenset[str]] = {
    "alcohol": frozenset({"ETHUD"}),
    "opioid": frozenset({"OPIOIDUD"}),
    "substance": frozenset({"SUD"}),
    "mental": frozenset({"MH", "PSY"}),
    "hiv": frozenset({"HIV"}),
    "sti": frozenset({"STD", "SEX"}),
    "reproductive": frozenset({"SEX"}),
    "genetic": frozenset({"GDIS"}),
    "sickle": frozenset({"SCA", "GDIS"}),
    "violence": frozenset({"VIO", "SDV"}),
}
"""Category of sensitive_codes.tsv → the labels it gives, before ``closure``."""

_BROADER: dict[str, tuple[str, ...]] = {
    "ETHUD": ("SUD",),
    "OPIOIDUD": ("SUD",),
    "SUD": ("SPI", "ETH"),
    "ETH": ("SUD",),
    "42CFRPart2": ("SUD",),
    "MH": ("SPI",),
    "PSY": ("SPI",),
    "PSYTHPN": ("SPI",),
    "HIPAAPsyNotes": ("PSYTHPN",),
    "BH": ("SPI",),
    "COGN": ("BH",),
    "DVD": ("BH",),
    "EMOTDIS": ("BH",),
    "SICKLE": ("SCA",),
}

CLASS_OF: dict[str, str] = {
    "SUD": "sud",
    "ETH": "sud",
    "MH": "mh",
    "PSY": "mh",
    "PSYTHPN": "mh",
    "BH": "mh",
    "SPI": "mh",
    "HIV": "hiv",
    "SEX": "sex",
    "STD": "sex",
    "PREGNANT": "sex",
    "GDIS": "gen",
    "SCA": "gen",
    "VIO": "vio",
    "SDV": "vio",
    "MST": "vio",
}
"""Label → class of keys. SPI counts only where no narrower label says which."""

CLASSES = ("normal", "sud", "mh", "hiv", "sex", "gen", "vio")
"""Every class of keys there is."""

CONFIDENTIALITY = {"U": 0, "L": 1, "M": 2, "N": 3, "R": 4, "V": 5}
"""v3-Confidentiality, least first."""


def closure(labels: frozenset[str]) -> frozenset[str]:
    """``labels`` with every broader one: a rule on SUD must reach OPIOIDUD data."""
    found = set(labels)
    waiting = list(labels)
    while waiting:
        for broader in _BROADER.get(waiting.pop(), ()):
            if broader not in found:
                found.add(broader)
                waiting.append(broader)
    return frozenset(found)
