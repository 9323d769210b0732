"""What the twin store gives away of a venue whose log holds events that are none."""

import pytest

from actors.twin_dump import dump_venue, events_from_log
from cluster.clock import SteadyClock
from cluster.eventlog.port import Record
from cluster.names import events_topic
from models.events.envelope import EVENT_TYPE, Event, to_cloudevent
from tests.unit.fakes_log import FakeLog

T0 = 10**18


def event(seq: int) -> Event:
    return Event("sprint", "v", "m", "flow/p0", seq, T0 + seq, T0 + seq, "p0")


@pytest.mark.parametrize("broken", [
    b"", b"[", b"[" * 100_000, b"[]", b"{}", b'{"data": []}', b'{"data": {"type": "sprint"}}',
    to_cloudevent(event(1)).replace(b'"seq":1', b'"seq":[1]'),
])
def test_an_event_that_is_none_hides_no_other(broken: bytes) -> None:
    log = FakeLog(SteadyClock())
    payloads = [to_cloudevent(event(0)), broken, to_cloudevent(event(2))]
    records = [
        Record("flow/p0", n, T0, payload, EVENT_TYPE) for n, payload in enumerate(payloads)
    ]
    log.append(events_topic("v"), records, 0)
    assert [one["seq"] for one in dump_venue(log, "v")["m"]["events"]] == [0, 2]
    page = events_from_log(log, "v", 0, 10, (), "")
    assert [one["seq"] for one in page["events"]] == [0, 2]
    assert page["next_cursor"] == 3
