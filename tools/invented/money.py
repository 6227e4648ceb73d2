"""Claims, what came of them, and who pays."""

from __future__ import annotations

from collections.abc import Callable

from tools.invented.values import (
    TERMINOLOGY,
    US_CORE,
    Invention,
    Tree,
    coding,
    concept,
    concepts,
    head,
)

__all__ = ["MONEY"]

_BLUE_BUTTON = "https://bluebutton.cms.gov/resources/"


def _claim(v: Invention) -> Tree:
    body = head(v, "Claim") | {
        "status": "active",
        "type": concepts("claim-type", v.pick("institutional", "professional", "pharmacy")),
        "use": "claim",
        "patient": v.reference("Patient", v.words()),
        "billablePeriod": v.period(),
        "created": v.date_time(),
        "provider": v.reference("Organization", v.site),
        "priority": concepts("processpriority", "normal"),
        "facility": v.reference("Location", v.site),
    }
    if v.chance(0.3):
        body["prescription"] = v.reference("MedicationRequest")
    if v.chance(0.5):
        body["diagnosis"] = [{"sequence": 1, "diagnosisReference": v.reference("Condition")}]
        body["procedure"] = [{"sequence": 1, "procedureReference": v.reference("Procedure")}]
    return body | {
        "insurance": [{"sequence": 1, "focal": True, "coverage": {"display": v.name()}}],
        "item": [
            {
                "sequence": number,
                "procedureSequence": [1],
                "productOrService": v.snomed("procedure"),
                "encounter": [v.at_encounter()],
                "net": v.money(),
            }
            for number in (1, 2)
        ],
        "total": v.money(),
    }


def _adjudication(v: Invention, variable: str, display: str) -> Tree:
    kind = coding(_BLUE_BUTTON + "variables/" + variable, _BLUE_BUTTON + "variables/" + variable)
    return {"category": {"coding": [kind | {"display": display}]}, "amount": v.money()}


_ADJUDICATIONS = [
    ("line_coinsrnc_amt", "Line Beneficiary Coinsurance Amount"),
    ("line_prvdr_pmt_amt", "Line Provider Payment Amount"),
    ("line_sbmtd_chrg_amt", "Line Submitted Charge Amount"),
    ("line_alowd_chrg_amt", "Line Allowed Charge Amount"),
    ("line_bene_ptb_ddctbl_amt", "Line Beneficiary Part B Deductible Amount"),
    ("line_prcsg_ind_cd", "Line Processing Indicator Code"),
]


def _item(v: Invention, number: int) -> Tree:
    kind = _BLUE_BUTTON + "variables/line_cms_type_srvc_cd"
    item = {
        "sequence": number,
        "diagnosisSequence": [1],
        "category": {"coding": [coding(kind, "1", "Medical care")]},
        "productOrService": v.snomed("procedure"),
        "servicedPeriod": v.period(),
        "locationCodeableConcept": concepts("ex-serviceplace", "21", "Inpatient Hospital"),
        "encounter": [v.at_encounter()],
    }
    if v.chance(0.5):
        item["net"] = v.money()
        item["adjudication"] = [_adjudication(v, *one) for one in _ADJUDICATIONS]
    return item


def _explanation(v: Invention) -> Tree:
    practitioner, payer = v.reference("Practitioner"), v.name()
    submitted = concept(TERMINOLOGY + "adjudication", "submitted", "Submitted Amount")
    return head(v, "ExplanationOfBenefit") | {
        "contained": [
            {
                "resourceType": "ServiceRequest",
                "id": "referral",
                "status": "completed",
                "intent": "order",
                "subject": v.subject(),
                "requester": practitioner,
                "performer": [practitioner],
            },
            {
                "resourceType": "Coverage",
                "id": "coverage",
                "status": "active",
                "type": {"text": payer},
                "beneficiary": v.subject(),
                "payor": [{"display": payer}],
            },
        ],
        "identifier": [
            {"system": _BLUE_BUTTON + "variables/clm_id", "value": v.uuid()},
            {"system": _BLUE_BUTTON + "identifier/claim-group", "value": "99999999999"},
        ],
        "status": "active",
        "type": concepts("claim-type", v.pick("institutional", "professional", "pharmacy")),
        "use": "claim",
        "patient": v.subject(),
        "billablePeriod": v.period(),
        "created": v.date_time(),
        "insurer": {"display": payer},
        "provider": practitioner,
        "referral": {"reference": "#referral"},
        "facility": v.reference("Location", v.site),
        "claim": v.reference("Claim"),
        "outcome": "complete",
        "careTeam": [
            {
                "sequence": 1,
                "provider": practitioner,
                "role": concepts("claimcareteamrole", "primary", "Primary Care Practitioner"),
            }
        ],
        "diagnosis": [
            {
                "sequence": 1,
                "diagnosisReference": v.reference("Condition"),
                "type": [concepts("ex-diagnosistype", "principal")],
            }
        ],
        "insurance": [{"focal": True, "coverage": {"reference": "#coverage", "display": payer}}],
        "item": [_item(v, number) for number in range(1, v.random.randint(2, 4))],
        "total": [{"category": submitted, "amount": v.money()}],
        "payment": {"amount": v.money()},
    }


def _coverage(v: Invention) -> Tree:
    return head(v, "Coverage", US_CORE + "coverage") | {
        "identifier": [{"system": "http://payer.example.org/member", "value": v.digits(11)}],
        "status": "active",
        "type": concept(TERMINOLOGY + "v3-ActCode", "EHCPOL", "extended healthcare"),
        "subscriberId": v.digits(9),
        "beneficiary": v.subject(),
        "relationship": concepts("subscriber-relationship", "self"),
        "period": v.period(),
        "payor": [v.reference("Organization", v.words())],
    }


MONEY: dict[Callable[[Invention], Tree], int] = {_claim: 6, _explanation: 6, _coverage: 2}
