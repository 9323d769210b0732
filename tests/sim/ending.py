"""The end of a run: what is left to do, and whether the whole truth is what it should be."""

from typing import TYPE_CHECKING, Any

from actors.twin_dump import dump_venue
from tests.sim.edge_processes import TwinProcess
from tests.sim.sim_log import LogClient
from tests.sim.story import Violation

if TYPE_CHECKING:
    from tests.sim.world import World


def left_to_do(world: "World") -> str:
    """What is not done yet, in words."""
    for one in world.gateways:
        if not one.done:
            return f"{one.name} has {len(one.acked)} acknowledged"
    for (venue, match), wanted in world.watch.expected.items():
        for stream, effects in wanted.events.items():
            made = world.watch.seqs.get((f"events/{venue}", stream), -1) + 1
            if made < len(effects):
                return f"{stream}: {made} events of {len(effects)}"
        # A match that is over is asked about no more, the one after it maybe a question later.
        present = world.shapes[venue].match == match == "m1"
        for device in wanted.alarms if present else ():
            if (f"events/{venue}", f"supervisor/{match}/{device}") not in world.watch.seqs:
                return f"no alarm for {device}"
    coordinator = world.coordinator()
    if coordinator is None or not coordinator.status()["all_final"]:
        return "flows that are not final"
    return next(filter(None, (_readers_behind(world, venue) for venue in world.shapes)), "")


def _readers_behind(world: "World", venue: str) -> str:
    """Which reader of the venue's events has not got all of them."""
    twin, end = world.named.get("twin-store"), world.store.look(f"events/{venue}").end
    if not isinstance(twin, TwinProcess) or len(twin.seen(venue)) < end:
        return "the read model is behind"
    wanting = (one.settled(venue, end) for one in world.receivers.values())
    return next(filter(None, wanting), "")


def finals(world: "World", venue: str, match: str) -> dict[str, Any]:
    """subject -> its final row, as far as it is compared."""
    client = LogClient(world.store, lambda: world.now_ns, "end")
    rows = dump_venue(client, venue)[match]["finals"]
    return {row["subject_id"]: world.watch.final(row) for row in rows}


def final_look(world: "World") -> None:
    """The whole truth, read back as a report reads it, and what a sink has made of it."""
    client = LogClient(world.store, lambda: world.now_ns, "end")
    twin = world.named["twin-store"]
    assert isinstance(twin, TwinProcess)
    for (venue, match), wanted in world.watch.expected.items():
        found = finals(world, venue, match)
        if found != wanted.finals:
            raise Violation("conservation", f"finals of {venue} {match}: {found}")
    for venue in world.shapes:
        matches = dump_venue(client, venue).values()
        ids = [event["event_id"] for one in matches for event in one["events"]]
        seen = twin.seen(venue)
        if len(set(seen)) != len(seen) or set(seen) != set(ids):
            raise Violation("no effect twice", f"the read model of {venue} has {len(seen)}")
