"""The names by which processes meet: topics, actors, Serve applications, consumer groups."""

from typing import Final

RAY_NAMESPACE: Final = "touchline"
SERVE_APP: Final = "touchline"

COORDINATOR: Final = "coordinator"
TWIN_STORE: Final = "twin-store"
SUPERVISOR: Final = "supervisor"
WEBHOOKS: Final = "webhooks"


def stadium_actor(venue_id: str) -> str:
    return f"stadium/{venue_id}"


def worker_actor(worker_id: int | str) -> str:
    """With "" the beginning that all workers' names have."""
    return f"worker/{worker_id}"


def raw_topic(venue_id: str) -> str:
    """Packets as they arrived, full rate: the edge spool, and the source of the warm tier."""
    return f"raw/{venue_id}"


def telemetry_topic(venue_id: str) -> str:
    return f"telemetry/{venue_id}"


def quarantine_topic(venue_id: str) -> str:
    return f"quarantine/{venue_id}"


def health_topic(venue_id: str) -> str:
    return f"device-health/{venue_id}"


def events_topic(venue_id: str) -> str:
    return f"events/{venue_id}"


def insights_topic(venue_id: str) -> str:
    return f"insights/{venue_id}"


def roster_topic(venue_id: str) -> str:
    return f"roster/{venue_id}"


def orders_topic(venue_id: str) -> str:
    """What the venue's edge is told to do differently for a while (`models.telemetry.orders`)."""
    return f"orders/{venue_id}"


ACTIONS_TOPIC: Final = "actions"


def dead_letters_topic(hook_id: str) -> str:
    """Events that a webhook's receiver would not take; each names the event and why."""
    return f"dead-letters/{hook_id}"


def webhook_group(hook_id: str) -> str:
    """Whose cursor on the events of a venue says what a webhook has delivered."""
    return f"webhook/{hook_id}"
