"""The states of a consent record, and which may follow which: the only place that decides it."""

from collections.abc import Mapping
from typing import Final, Literal

State = Literal["requested", "active", "rejected", "revoked", "expired", "superseded"]

REQUESTED: Final = "requested"
ACTIVE: Final = "active"
REJECTED: Final = "rejected"
REVOKED: Final = "revoked"
EXPIRED: Final = "expired"
SUPERSEDED: Final = "superseded"

TRANSITIONS: Final[Mapping[State | None, frozenset[State]]] = {
    None: frozenset({REQUESTED, ACTIVE}),
    REQUESTED: frozenset({ACTIVE, REJECTED}),
    ACTIVE: frozenset({REVOKED, EXPIRED, SUPERSEDED}),
    REJECTED: frozenset(),
    REVOKED: frozenset(),
    EXPIRED: frozenset(),
    SUPERSEDED: frozenset(),
}
"""What may follow each state; None is a record that does not exist yet."""

FINAL: Final[tuple[State, ...]] = (REJECTED, REVOKED, EXPIRED, SUPERSEDED)
"""The states that nothing follows."""

_ORDER: Final[tuple[State, ...]] = (REQUESTED, ACTIVE, *FINAL)


class ForbiddenTransition(Exception):
    """A record would enter a state that does not follow the one it is in."""


def require_transition(before: State | None, after: State) -> None:
    """Check a change of state.

    Raises:
        ForbiddenTransition: `after` does not follow `before`.
    """
    if after not in TRANSITIONS[before]:
        raise ForbiddenTransition(f"a consent that is {before or 'new'} cannot become {after}")


def rank(state: State) -> int:
    """Where a state stands in the life of a record: of two events at the same moment the higher one came later."""
    return _ORDER.index(state)
