"""What one process tells another of its changes."""

from __future__ import annotations

from fhir_bridge.exchange.changes import NAMES, Changes


def test_everything_after_a_serial_is_told_in_order() -> None:
    changes = Changes()
    changes.note(["a", "b"])
    seen = changes.serial
    changes.note(["c", NAMES])
    assert changes.since(0) == ("a", "b", "c", "")
    assert changes.since(seen) == ("c", "")
    assert changes.since(changes.serial) == ()


def test_what_is_no_longer_kept_or_not_yet_noted_is_not_known() -> None:
    changes = Changes(kept=3)
    changes.note(["a", "b", "c", "d"])
    assert changes.since(1) == ("b", "c", "d")
    assert changes.since(0) is None
    assert changes.since(5) is None, "another process counted that"
    assert Changes(start=1 << 40).since(5) is None
