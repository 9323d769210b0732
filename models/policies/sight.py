"""What one caller may see in a venue: the policy's decisions, each made once."""

from typing import Final, Protocol

from models.policies.access import DataClass, Principal, Role, Target, decide, own_purpose

MAX_SEEN: Final = 4_096


class Sight(Protocol):
    """What one caller may see, of whom."""

    def of(self, team: str, subject_id: str) -> frozenset[str]:
        """Data classes that may be seen of a subject; of nobody in particular for two ""."""
        ...


class PolicySight:
    """Decisions about one caller in one venue, for the purpose of its role."""

    def __init__(self, caller: Principal, venue_id: str) -> None:
        self._caller, self._venue_id = caller, venue_id
        self._purpose = own_purpose(caller.role)
        self._seen: dict[tuple[str, str], frozenset[str]] = {}

    def of(self, team: str, subject_id: str) -> frozenset[str]:
        """See `Sight`."""
        # Whose data it is matters to athletes only: for others one decision holds for a team.
        key = (team, subject_id if self._caller.role == Role.ATHLETE else "")
        found = self._seen.get(key)
        if found is None:
            target = Target(self._venue_id, team, subject_id) if team or subject_id else None
            found = frozenset(
                str(one) for one in DataClass
                if decide(self._caller, one, self._purpose, target).allow
            )
            if len(self._seen) < MAX_SEEN:
                self._seen[key] = found
        return found


def granted(caller: Principal) -> frozenset[str]:
    """Classes that the caller's role has at all, of whomever."""
    purpose = own_purpose(caller.role)
    return frozenset(str(one) for one in DataClass if decide(caller, one, purpose).allow)


def withheld(caller: Principal) -> list[str]:
    """Classes that are cut out of all that the caller gets, by name."""
    return sorted({str(one) for one in DataClass} - granted(caller))
