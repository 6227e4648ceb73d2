"""A second engine, written from docs/consent.md alone, slow and plain: the product is not read.

It works on the Consent trees themselves with three truth values: True, False and None (unknown),
and asks every question afresh. It knows the elements of the small world only.
"""

from __future__ import annotations

from typing import Any

ISA = {
    "BTG": ["BTG", "ETREAT", "TREAT"],
    "ETREAT": ["ETREAT", "TREAT"],
    "TREAT": ["TREAT"],
    "HPAYMT": ["HPAYMT"],
    "HRESCH": ["HRESCH"],
    "CLINTRCH": ["CLINTRCH", "HRESCH"],
}
EMERGENCY = ("ETREAT", "BTG")


def both(answers: list[bool | None]) -> bool | None:
    """AND of three-valued answers."""
    if False in answers:
        return False
    return None if None in answers else True


def either(answers: list[bool | None]) -> bool | None:
    """OR of three-valued answers."""
    if True in answers:
        return True
    return None if None in answers else False


def codes(listed: list[dict[str, Any]]) -> list[str]:
    return [coding["code"] for coding in listed]


class Request:
    def __init__(
        self, who: str, user: str | None, purpose: str, verb: str, kind: str, labels: set[str]
    ) -> None:
        self.who, self.user, self.purpose = who, user, purpose
        self.verb, self.type, self.labels = verb, kind, labels


def actor_answer(actor: dict[str, Any], request: Request) -> bool | None:
    reference: str = actor["reference"]["reference"]
    if reference.startswith("Organization/"):
        return reference == request.who
    if reference.startswith("Practitioner/"):
        return None if request.user is None else reference == request.user
    return None


def verbs(request: Request, own: bool, effect: str) -> set[str]:
    if request.verb == "collect":
        return {"collect"}
    if own:
        return {"access", "use"}
    return {"access", "disclose"} if effect == "permit" else {"access", "use", "disclose"}


def rule_answer(
    elements: dict[str, Any], effect: str, request: Request, own: bool, day: str
) -> bool | None:
    answers: list[bool | None] = []
    if "period" in elements:
        period = elements["period"]
        answers.append(period.get("start", "0") <= day <= period.get("end", "9"))
    if "actor" in elements:
        answers.append(either([actor_answer(a, request) for a in elements["actor"]]))
    if "purpose" in elements:
        answers.append(any(c in ISA[request.purpose] for c in codes(elements["purpose"])))
    if "action" in elements:
        stated = {c for a in elements["action"] for c in codes(a["coding"])}
        answers.append(bool(stated & verbs(request, own, effect)))
    if "securityLabel" in elements:
        answers.append(any(c in request.labels for c in codes(elements["securityLabel"])))
    if "class" in elements:
        answers.append(request.type in codes(elements["class"]))
    if any(name in elements for name in ("code", "data", "dataPeriod")):
        answers.append(None)
    return both(answers)


def holds(elements: dict[str, Any], effect: str, request: Request, own: bool, day: str) -> bool:
    """Unknown favours deny: a permit needs a yes, a deny needs no no."""
    answer = rule_answer(elements, effect, request, own, day)
    return answer is True if effect == "permit" else answer is not False


def states(provision: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in provision.items() if k not in ("type", "provision")}


def names_emergency(elements: dict[str, Any], effect: str) -> bool:
    return any(c in EMERGENCY for c in codes(elements.get("purpose", [])))


def one_consent(
    tree: dict[str, Any], request: Request, own: bool, day: str
) -> tuple[str, bool] | None:
    """(effect, whether an emergency purpose is named), or None when it does not speak."""
    if tree["status"] != "active":
        return None
    scope = tree["scope"]["coding"][0]["code"]
    if scope != "patient-privacy" and not (
        scope == "research" and "HRESCH" in ISA[request.purpose]
    ):
        return None
    root = tree.get("provision")
    if root is None or "type" not in root:
        return "deny", True
    nested = root.get("provision", [])
    if any("type" not in n or "provision" in n for n in nested):
        return "deny", True
    if "period" in root and not holds({"period": root["period"]}, "permit", request, own, day):
        return None
    speaking = []
    for child in nested:
        elements = states(root) | states(child)
        if holds(elements, child["type"], request, own, day):
            speaking.append((child["type"], names_emergency(elements, child["type"])))
    if speaking:
        denying = [s for s in speaking if s[0] == "deny"]
        return denying[-1] if denying else speaking[0]
    if holds(states(root), root["type"], request, own, day):
        return root["type"], names_emergency(states(root), root["type"])
    return None


def table(request: Request, own: bool) -> bool:
    if request.verb == "collect":
        return True
    return own and any(c in ("TREAT", "HPAYMT", "HOPERAT") for c in ISA[request.purpose])


def one_patient(
    trees: list[dict[str, Any]], request: Request, own: bool, day: str, emergency: str
) -> bool:
    if request.type == "Consent" and request.verb == "collect":
        return True
    said = [s for t in trees if (s := one_consent(t, request, own, day)) is not None]
    permits = [named for effect, named in said if effect == "permit"]
    denies = [named for effect, named in said if effect == "deny"]
    if denies:
        return (
            emergency == "named-rule"
            and request.purpose in EMERGENCY
            and not any(denies)
            and any(permits)
        )
    return bool(permits) or table(request, own)


def answer(
    trees_by_patient: dict[str, list[dict[str, Any]]],
    patients: tuple[str, ...],
    author: str,
    request: Request,
    day: str,
    emergency: str = "break-glass",
) -> bool:
    """Whether the request is permitted; every patient must."""
    own = request.who == author
    return all(
        one_patient(trees_by_patient.get(p, []), request, own, day, emergency) for p in patients
    )
