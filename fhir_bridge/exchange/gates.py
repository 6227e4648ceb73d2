"""The patient gate and the fact gate: which groups of entries a requester may see.

Every row of the locator belongs to a group of entries with equal consent facts. A gate answers
for a group, remembers the answer, and stands inside the locator's SQL before predicates,
counts, sorting, paging and includes: what it hides has no influence on any answer.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from weakref import WeakSet

from fhir_bridge.clock import Clock
from fhir_bridge.consent import Asked, Decider, Decision, Facts, Policy, ask, author_of, decide
from fhir_bridge.errors import BridgeError
from fhir_bridge.exchange.changes import NAMES
from fhir_bridge.exchange.consents import ConsentView
from fhir_bridge.terms import Action, Relation, Requester

__all__ = ["Gate", "Gates"]

_KEPT_SHAPES = 512
_KEPT_DECISIONS = 20_000
_NEVER = 1 << 62
_OUT_OF_SCOPE = Decision(False, ("scope",), Relation.OTHER)


class Gate:
    """Answers for one requester. Call it with a group id."""

    def __init__(
        self,
        asks: Callable[[], Asked],
        requester: Requester,
        letter: str,
        facts: Callable[[int], Facts],
        decide_facts: Callable[[Facts, Asked], Decision],
    ) -> None:
        self._asks = asks
        self._asked: Asked | None = None
        self._requester = requester
        self._letter = letter
        self._facts = facts
        self._decide = decide_facts
        self._memo: dict[int, Decision] = {}
        self._allowed: dict[int, bool] = {}
        self._until_us = _NEVER
        self.version = 0
        """Grows whenever its answers may have changed."""

    def __call__(self, gid: int) -> bool:
        """Whether entries of this group may be seen."""
        allowed = self._allowed.get(gid)
        return self.decision(gid).permit if allowed is None else allowed

    def decision(self, gid: int) -> Decision:
        """The decision for the group, with its reasons."""
        decision = self._memo.get(gid)
        if decision is None:
            decision = self.judge(self._facts(gid))
            if len(self._memo) >= _KEPT_DECISIONS:
                # For room only: no answer changes by it.
                self._memo.clear()
                self._allowed.clear()
            self._memo[gid] = decision
            self._allowed[gid] = decision.permit
            if decision.valid_until_us is not None:
                self._until_us = min(self._until_us, decision.valid_until_us)
        return decision

    @property
    def asked(self) -> Asked:
        """The request that is decided on."""
        if self._asked is None:
            self._asked = self._asks()
        return self._asked

    def judge(self, facts: Facts) -> Decision:
        """The decision for facts that have no group yet."""
        who = self._requester
        if not who.permits(facts.type, self._letter):
            return _OUT_OF_SCOPE
        if who.patient_bound(facts.type, self._letter) and not (
            facts.shared or facts.patients == (who.patient,)
        ):
            return _OUT_OF_SCOPE
        return self._decide(facts, self.asked)

    def refresh(self, now_us: int) -> None:
        """Forget what time alone may have changed."""
        if now_us >= self._until_us:
            self.clear()

    def clear(self) -> None:
        """Forget every answer, and under which names the requester asks."""
        self.version += 1
        self._asked = None
        self._memo.clear()
        self._allowed.clear()
        self._until_us = _NEVER


class Gates:
    """The gates of this process, one per token and scope letter, kept while they are used."""

    def __init__(
        self,
        clock: Clock,
        policy: Policy,
        consents: ConsentView,
        facts: Callable[[int], Facts],
        aliases: Callable[[str], tuple[str, ...]],
        covered: Callable[[], int],
    ) -> None:
        """``covered``: the ledger size up to which ``facts`` and ``aliases`` are read."""
        self._clock = clock
        self._policy = policy
        self._consents = consents
        self._facts = facts
        self._aliases = aliases
        self._covered = covered
        self._names_seen: dict[str, int] = {}
        self._gates: OrderedDict[tuple[Requester, str], Gate] = OrderedDict()
        # Also those that are no longer kept: a request under way may hold one.
        self._live: WeakSet[Gate] = WeakSet()
        self._asked: OrderedDict[tuple[Requester, Action], Asked] = OrderedDict()
        self._latest_us = 0
        self.heard_size = 0
        """Ledger size up to which everything is heard that other processes wrote and decisions
        hang on."""

    def now_us(self) -> int:
        """The later of the clock and any time already used: a clock set back reopens nothing."""
        self._latest_us = max(self._latest_us, self._clock.now_us())
        return self._latest_us

    def reading(self, requester: Requester, letter: str) -> Gate:
        """The gate for reading with scope letter ``letter`` (``r`` or ``s``)."""
        key = (requester, letter)
        gate = self._gates.get(key)
        if gate is not None:
            self._gates.move_to_end(key)
        else:
            asks = partial(self.asked, requester, Action.ACCESS)
            gate = Gate(asks, requester, letter, self._facts, self.decide)
            self._live.add(gate)
            self._gates[key] = gate
            if len(self._gates) > _KEPT_SHAPES:
                self._gates.popitem(last=False)
        gate.refresh(self.now_us())
        return gate

    def author(self, requester: Requester) -> str:
        """Who authors what ``requester`` writes."""
        return author_of(requester, self._policy)

    def asked(self, requester: Requester, action: Action) -> Asked:
        """The request of ``requester``, with the directory's other names of its organisation."""
        key = (requester, action)
        asked = self._asked.get(key)
        if asked is not None:
            self._asked.move_to_end(key)
        else:
            self.names_seen(requester.organization)
            asked = ask(requester, action, aliases=self._aliases(requester.organization))
            self._asked[key] = asked
            if len(self._asked) > _KEPT_SHAPES:
                self._asked.popitem(last=False)
        return asked

    def names_seen(self, organization: str) -> int:
        """Ledger size up to which the names of ``organization`` that are held were read, at
        least."""
        seen = self._names_seen.get(organization)
        if seen is None:
            seen = self._names_seen[organization] = self._covered()
        return seen

    def decide(self, facts: Facts, asked: Asked) -> Decision:
        """One decision, from the directives of every patient that ``facts`` names."""
        deciders: Mapping[str, Decider] = self._consents.deciders(facts.patients)
        return decide(facts, asked, deciders, self._policy, self.now_us())

    def make_room(self) -> None:
        """Forget everything where too much is held. Never between a decision and its guard: the
        guard would tell the age of directives that nobody decided by."""
        if self._consents.is_full:
            self.forget_all()

    def changed(self, patients: tuple[str, ...]) -> None:
        """A Consent (or what gives it authority) of ``patients`` changed: decide anew."""
        self._consents.forget(patients)
        self._clear()

    def forget_all(self) -> None:
        """Another process may have changed anything: decide everything anew."""
        self._consents.forget_all()
        self.forget_names()
        with suppress(BridgeError):  # where it cannot be read, the others are heard of later
            self.heard_up_to(self._covered())

    def heard_up_to(self, size: int) -> None:
        """Everything that other processes wrote up to ``size`` is heard and has its effect."""
        self.heard_size = max(self.heard_size, size)

    def heard(self, changes: Sequence[str] | None) -> None:
        """``changes`` were noted (`Changes.since`); None: it may have been anything."""
        if changes is None:
            self.forget_all()
            return
        patients = tuple(patient for patient in changes if patient != NAMES)
        if patients:
            self.changed(patients)
        if len(patients) < len(changes):
            self.forget_names()

    def forget_names(self) -> None:
        """The directory of organisations changed: names are resolved anew."""
        self._asked.clear()
        self._names_seen.clear()
        self._clear()

    def _clear(self) -> None:
        for gate in list(self._live):
            gate.clear()
