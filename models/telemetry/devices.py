"""DeviceIndex: the roster's devices in the form that decoders look them up in.

A device that is assigned twice in a roster (two entries with one id and kind) is found under its
first entry; which entry holds is decided by event time, downstream.
"""

from dataclasses import dataclass

from models.telemetry.kinds import Kind
from models.telemetry.roster import Roster

HEADER_HEALTH = "packet-header"
"""`Device.model` of a HEALTH device whose rows come from the headers of the device's packets."""


@dataclass(frozen=True, slots=True)
class DeviceIndex:
    """Build it once per roster: decoders take it in place of the roster.

    rows_of        (device_id, kind) -> row of `Roster.devices`
    kind_rows      kind -> device_id -> row
    device_ids     device_ids[row] names the device
    header_health  (device_id, kind) -> HEALTH row that the headers of that stream's packets fill
    """

    venue_id: str
    match_id: str
    rows_of: dict[tuple[str, Kind], int]
    kind_rows: dict[Kind, dict[str, int]]
    device_ids: list[str]
    header_health: dict[tuple[str, Kind], int]


def index_of(roster: Roster | DeviceIndex) -> DeviceIndex:
    """The index of `roster` (itself when it is one already)."""
    if isinstance(roster, DeviceIndex):
        return roster
    rows_of: dict[tuple[str, Kind], int] = {}
    kind_rows: dict[Kind, dict[str, int]] = {kind: {} for kind in Kind}
    wanted: dict[str, int] = {}
    for row, device in enumerate(roster.devices):
        rows_of.setdefault((device.device_id, device.kind), row)
        kind_rows[device.kind].setdefault(device.device_id, row)
        if device.kind == Kind.HEALTH and device.model == HEADER_HEALTH:
            wanted.setdefault(device.device_id, row)
    header_health: dict[tuple[str, Kind], int] = {}
    for device in roster.devices:
        if device.device_id in wanted and device.kind != Kind.HEALTH:
            # One stream per device speaks for its health: two would count every second twice.
            row = wanted.pop(device.device_id)
            header_health[(device.device_id, device.kind)] = row
    ids = [device.device_id for device in roster.devices]
    return DeviceIndex(
        roster.venue_id, roster.match_id, rows_of, kind_rows, ids, header_health
    )
