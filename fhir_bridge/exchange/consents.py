"""The patients' directives, held ready: loaded from the ledger once, dropped when they change.

Decisions never wait for a query: a patient's Consents become one compiled ``Decider``. It is
dropped the moment a Consent of the patient is written here, and refused by the sequencer's
guard when one was written elsewhere (``seen`` is what the guard compares).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from fhir_bridge.consent import Decider

__all__ = ["ConsentView", "Held"]

_KEPT_PATIENTS = 100_000


@dataclass(frozen=True, slots=True)
class Held:
    """A patient's compiled directives and the ledger size they were read at."""

    decider: Decider
    seen: int
    silent: bool = False
    """Nobody, with authority or without, has written a Consent of the patient."""


class ConsentView:
    """Directives by patient. ``load`` reads them from what the locator covers."""

    def __init__(self, load: Callable[[str], Held]) -> None:
        self._load = load
        self._held: dict[str, Held] = {}

    @property
    def is_full(self) -> bool:
        """Time to forget everything. Nothing is dropped alone: a decision that is remembered
        must not outlive the directives that it was made by."""
        return len(self._held) >= _KEPT_PATIENTS

    def of(self, patient: str) -> Held:
        """The patient's directives; raises what ``load`` raises, never answers without."""
        held = self._held.get(patient)
        if held is None:
            held = self._held[patient] = self._load(patient)
        return held

    def deciders(self, patients: Iterable[str]) -> Mapping[str, Decider]:
        """The deciders of several patients, by patient."""
        return {patient: self.of(patient).decider for patient in patients}

    def seen(self, patient: str) -> int:
        """Ledger size at which the held directives of ``patient`` were read."""
        return self.of(patient).seen

    def unmoved(self, patient: str, size: int) -> bool:
        """Whether the first version of the Patient, just taken at ``size``, changes nothing.

        Where nobody wrote a Consent before, it gives none authority: what is held stays true.
        """
        held = self._held.get(patient)
        if held is None or not held.silent:
            return False
        self._held[patient] = replace(held, seen=size)
        return True

    def forget(self, patients: Iterable[str]) -> None:
        """Drop what is held of ``patients``; the next question reads again."""
        for patient in patients:
            self._held.pop(patient, None)

    def forget_all(self) -> None:
        """Drop everything that is held."""
        self._held.clear()
