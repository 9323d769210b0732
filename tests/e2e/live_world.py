"""A live venue for the tests of one module: real processes, fed and asked as users do."""

import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from cluster.eventlog.open import open_log
from cluster.eventlog.port import EventLog, StoredRecord
from cluster.identity import open_issuer
from cluster.names import quarantine_topic
from cluster.settings import load_settings
from jobs.gateway import Gateway, local_gateway
from models.telemetry.roster import Roster
from tests.e2e.conftest import Command

START_S = 120.0
WAIT_S = 30.0
JSON, BINARY, ARROW = (
    "application/json", "application/octet-stream", "application/vnd.apache.arrow.stream"
)


def free_ports(count: int) -> list[int]:
    """Ports that nobody has now."""
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in held]
    finally:
        for one in held:
            one.close()


def until(found: Callable[[], Any], what: str, limit_s: float = WAIT_S) -> Any:
    """The first true answer of `found`, asked again and again; an error after `limit_s`."""
    end_s = time.monotonic() + limit_s
    while not (answer := found()):
        assert time.monotonic() < end_s, f"in {limit_s:g} s not seen: {what}"
        time.sleep(0.05)
    return answer


class LiveVenue:
    """`touchline live` with one venue that has an HTTP, a UDP and a Flight source."""

    def __init__(self, folder: Path, roster: Roster, **edge: int) -> None:
        self.folder, self.roster, self.venue_id = folder, roster, roster.venue_id
        self.http_port, self.udp_port, self.flight_port = free_ports(3)
        self.settings_path = folder / "live.toml"
        (folder / "roster.json").write_text(roster.to_json())
        self.settings_path.write_text(self._toml(edge))
        self.settings = load_settings(self.settings_path, environ={})
        self.gateway: Gateway = local_gateway(self.settings, self.venue_id, "gateway")
        self._issuer = open_issuer(self.settings.identity)
        self._token = self.token("ops")

    def run(self, *words: str) -> Command:
        """Begin `touchline live`."""
        self.command = Command(
            ["live", "--settings", str(self.settings_path), "--workers", "1", "--json",
             str(self.folder / "report.json"), *words], self.folder,
        )
        return self.command

    def takes_samples(self) -> None:
        """Wait until the stadium runs."""
        until(self._runs, "a running stadium", START_S)

    def token(self, role: str, **claims: Any) -> str:
        return self._issuer.mint(f"{role}-1", role, claims=claims)

    def request(
        self, method: str, path: str, token: str = "", body: bytes | None = None, kind: str = "",
    ) -> tuple[int, dict[str, Any]]:
        """(status, document)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=30)
        headers = {"Content-Type": kind} if kind else {}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        try:
            # Refused before all of it was sent: the answer is there to be read.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"{}")
        finally:
            connection.close()

    def post(self, body: bytes, kind: str = BINARY, token: str | None = None) -> tuple[int, Any]:
        """Send to the venue's ingest; as its gateway unless another token is given."""
        token = self.gateway.token() if token is None else token
        return self.request("POST", f"/v1/ingest/{self.venue_id}", token, body, kind)

    def ops(self) -> dict[str, Any]:
        status, found = self.request("GET", "/v1/ops", self._token)
        assert status == 200, found
        return found

    def stadium(self) -> dict[str, Any]:
        return self.ops()["stadiums"].get(self.venue_id, {})

    def account(self) -> dict[str, Any]:
        """The edge's account of the venue, which holds whenever one looks."""
        account = until(lambda: self.stadium().get("account"), "the stadium's account")
        out = account["forwarded"] + account["thinned"] + account["buffered"]
        assert account["in"] == out + sum(account["rejected"].values()), account
        return account

    def events(self) -> list[dict[str, Any]]:
        """All events of the venue so far."""
        path = f"/v1/events?venue={self.venue_id}&limit=1000"
        status, found = self.request("GET", path, self.token("medical", team="*"))
        assert status == 200, found
        assert not found["more"]
        return found["events"]

    def quarantined(self, since: int) -> list[StoredRecord]:
        """Records of the quarantine from an offset on."""
        with self._log() as log:
            return log.read(quarantine_topic(self.venue_id), since, 10_000)

    def quarantine_end(self) -> int:
        with self._log() as log:
            return log.describe(quarantine_topic(self.venue_id)).end

    def _log(self) -> "_Closing":
        return _Closing(open_log(self.settings.log.url))

    def _runs(self) -> bool:
        assert self.command.process.poll() is None, self.command.output()[-3000:]
        try:
            return self.stadium().get("state") == "running"
        except (OSError, http.client.HTTPException, AssertionError, ValueError):
            return False

    def _toml(self, edge: dict[str, int]) -> str:
        knobs = "\n".join(f"{name} = {value}" for name, value in edge.items())
        return f"""
data_dir = "data"
[serve]
port = {self.http_port}
nets = false
[tiers]
roll_every_s = 3
[edge]
{knobs}
[[venues]]
id = "{self.venue_id}"
match_id = "{self.roster.match_id}"
roster = "roster.json"
[[venues.sources]]
type = "http"
[[venues.sources]]
type = "udp"
port = {self.udp_port}
[[venues.sources]]
type = "flight"
port = {self.flight_port}
"""


class _Closing:
    """The log of the live system, opened beside it for one look."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    def __enter__(self) -> EventLog:
        return self._log

    def __exit__(self, *_: object) -> None:
        self._log.close()


def live_venue(folder: Path, roster: Roster, **edge: int) -> Iterator[LiveVenue]:
    """For a fixture: started, and ended whatever happens."""
    venue = LiveVenue(folder, roster, **edge)
    command = venue.run()
    try:
        venue.takes_samples()
        yield venue
    finally:
        command.end()
