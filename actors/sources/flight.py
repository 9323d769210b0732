"""Arrow Flight with mutual TLS: gateways put sample tables, one stream per kind.

Each record batch put is answered, in order, by one metadata message (JSON) once its rows are
durable and judged: {"batch", "verdicts": [..]} as in the REST interface. The peer's certificate
must name a SPIFFE identity that may send for this venue; `allowed(identity) -> bool` decides.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import pyarrow as pa
import pyarrow.flight as flight

from actors.sources.arrival import ArrivalClock
from actors.sources.inbox import Inbox
from actors.sources.live import (
    MAX_INBOX_BYTES,
    Answer,
    Arrival,
    LiveSource,
    restamped,
    retry_answer,
)
from actors.sources.push import MAX_PAYLOAD_BYTES, wait_for
from models.errors import ConfigError
from models.telemetry.decoded import Decoded, refused_whole
from models.telemetry.devices import DeviceIndex
from models.telemetry.ingest import decode_arrow
from models.telemetry.reasons import Reason

MAX_PEERS: Final = 256
CLOSE_WAIT_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class FlightTls:
    """PEM bytes: the server's certificate and key, and the CA that signs clients."""

    certificate: bytes
    key: bytes
    client_ca: bytes


class FlightSource(LiveSource):
    """See the module docstring."""

    type_name = "flight"

    def __init__(
        self, source_id: str, index: DeviceIndex, clock: ArrivalClock, wake: Callable[[], None],
        tls: FlightTls, allowed: Callable[[str], bool], host: str = "127.0.0.1", port: int = 0,
        queue_batches: int = 256, cursor: int = 0,
    ) -> None:
        inbox: Inbox[Arrival] = Inbox(queue_batches, MAX_INBOX_BYTES, wake)
        super().__init__(source_id, index, clock, inbox, cursor)
        self._tls, self._allowed = tls, allowed
        self._host, self._port = host, port
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self.peers: Counter[str] = Counter()
        self.denied = 0

    def start(self) -> None:
        """Listen; ConfigError when the address cannot be had."""
        location = flight.Location.for_grpc_tls(self._host, self._port)
        try:
            self._server = _Server(self, location, self._tls)
        except (pa.ArrowException, OSError) as error:
            raise ConfigError(f"flight {self._host}:{self._port}: {error}") from error
        self._thread = threading.Thread(
            target=self._server.serve, name=self.source_id, daemon=True
        )
        self._thread.start()

    @property
    def address(self) -> str:
        """host:port that it listens on."""
        return f"{self._host}:{self._server.port if self._server else self._port}"

    def admit(self, identity: str) -> bool:
        """Whether this peer may send here; counted either way."""
        if not identity or not self._allowed(identity):
            self.denied += 1
            return False
        known = identity in self.peers or len(self.peers) < MAX_PEERS
        self.peers[identity if known else "(others)"] += 1
        return True

    def offer(self, batch: pa.RecordBatch) -> "Future[Answer]":
        """The verdicts of one record batch, in the future."""
        ticket: Future[Answer] = Future()
        if self.inbox.full:
            self.inbox.refused += 1
            ticket.set_result(retry_answer())
            return ticket
        stamp = partial(restamped, self.decode(batch))
        if not self.inbox.offer(Arrival(stamp, time.time_ns(), ticket), batch.nbytes):
            ticket.set_result(retry_answer())
        return ticket

    def decode(self, batch: pa.RecordBatch) -> Decoded:
        """The batch through the same door as posted Arrow, which checks its offsets and indices."""
        if batch.nbytes > MAX_PAYLOAD_BYTES:
            return refused_whole(Reason.OVERSIZE, f"{batch.nbytes} bytes")
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        return decode_arrow(sink.getvalue().to_pybytes(), self.index, 0)

    def progress(self) -> dict[str, Any]:
        return {
            **super().progress(), "address": self.address, "peers": dict(self.peers),
            "denied": self.denied,
        }

    def close(self) -> None:
        super().close()
        if self._server is None or self._thread is None:
            return
        # The server waits for open streams to end; a client that keeps one open does not keep us.
        threading.Thread(target=self._server.shutdown, daemon=True).start()
        self._thread.join(CLOSE_WAIT_S)


class _Server(flight.FlightServerBase):  # type: ignore[misc]
    """The Flight side: admits peers, hands batches over, writes answers."""

    def __init__(self, source: FlightSource, location: flight.Location, tls: FlightTls) -> None:
        super().__init__(
            location, tls_certificates=[(tls.certificate, tls.key)], verify_client=True,
            root_certificates=tls.client_ca,
        )
        self._source = source

    def do_put(
        self, context: flight.ServerCallContext, descriptor: flight.FlightDescriptor,
        reader: flight.MetadataRecordBatchReader, writer: flight.FlightMetadataWriter,
    ) -> None:
        """Judge each batch of the stream, one answer each."""
        peer = context.peer_identity()
        if not self._source.admit(peer.decode(errors="replace")):
            raise flight.FlightUnauthorizedError("this identity may not send for this venue")
        for place, batch in enumerate(_batches(reader)):
            verdicts = wait_for(self._source.offer(batch))
            answer = json.dumps({"batch": place, "verdicts": verdicts})
            writer.write(answer.encode())


def _batches(reader: flight.MetadataRecordBatchReader) -> Iterator[pa.RecordBatch]:
    while True:
        try:
            chunk = reader.read_chunk()
        except StopIteration:
            return
        if chunk.data is not None:
            yield chunk.data
