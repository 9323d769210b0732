"""The catalogue of a tier: which files are its content, published by atomic manifests.

Data files are written first, under names made from their content. A manifest then names them; it
is put only if its number is not taken, and only what a manifest names is content. A job that dies
at any step leaves files that nothing names (the next roll sweeps them), never a half-visible roll;
one that runs twice finds its number taken.

Layout below the tier's root: `data/<hive partitions>/part-<sha256>.parquet`,
`manifests/<venue>/<match>/<number>.json`, `state/<sha256>`.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Protocol

from cluster.settings import Settings
from cluster.storage import open_storage
from models.errors import ConfigError


class TierStorage(Protocol):
    """What a tier needs of `cluster.storage.Storage`."""

    def put_atomic(self, name: str, data: bytes) -> None: ...
    def put_if_absent(self, name: str, data: bytes) -> bool: ...
    def get(self, name: str) -> bytes | None: ...
    def list(self, prefix: str = "") -> list[str]: ...
    def delete(self, name: str) -> None: ...


@dataclass(frozen=True, slots=True)
class DataFile:
    """One Parquet file: its key below the tier's root, and what it must turn out to hold."""

    key: str
    kind: str
    rows: int
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """One roll of one match. `cursors` are the log offsets up to which topics are in the tier;
    `state_key` names the kernel's state at that point."""

    venue_id: str
    match_id: str
    number: int
    files: tuple[DataFile, ...]
    cursors: Mapping[str, int] = field(default_factory=dict)
    state_key: str = ""
    closed: bool = False

    @property
    def key(self) -> str:
        return f"manifests/{self.venue_id}/{self.match_id}/{self.number:08d}.json"

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self), sort_keys=True).encode()

    @staticmethod
    def from_bytes(data: bytes) -> "Manifest":
        """Raises ConfigError when the bytes are not a manifest."""
        try:
            raw = json.loads(data)
            raw["files"] = tuple(DataFile(**entry) for entry in raw["files"])
            return Manifest(**raw)
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"not a manifest: {error}") from error


def open_tier(url: str, settings: Settings) -> TierStorage:
    """The storage of a tier, reached as the settings say."""
    return open_storage(url, settings.s3.endpoint_url, settings.s3.region)


def put_data(storage: TierStorage, partition: str, kind: str, rows: int, data: bytes) -> DataFile:
    """Write a data file under a name made from its content; writing it again changes nothing."""
    sha256 = hashlib.sha256(data).hexdigest()
    key = f"data/{partition}/part-{sha256[:32]}.parquet"
    storage.put_atomic(key, data)
    return DataFile(key, kind, rows, len(data), sha256)


def put_state(storage: TierStorage, state: bytes) -> str:
    """Write kernel state under its hash; its key."""
    key = f"state/{hashlib.sha256(state).hexdigest()}"
    storage.put_atomic(key, state)
    return key


def chain(storage: TierStorage, venue_id: str, match_id: str) -> list[Manifest]:
    """The manifests of a match, oldest first."""
    keys = sorted(storage.list(f"manifests/{venue_id}/{match_id}"))
    found = [storage.get(key) for key in keys]
    return [Manifest.from_bytes(data) for data in found if data is not None]


def all_manifests(storage: TierStorage) -> list[Manifest]:
    """Every manifest of the tier."""
    found = [storage.get(key) for key in sorted(storage.list("manifests"))]
    return [Manifest.from_bytes(data) for data in found if data is not None]


def publish(storage: TierStorage, manifest: Manifest) -> bool:
    """Make the manifest's files content; False when another roll has taken its number.

    Raises ConfigError when a file that it names is missing or not what it says.
    """
    for entry in manifest.files:
        data = storage.get(entry.key)
        if data is None or hashlib.sha256(data).hexdigest() != entry.sha256:
            raise ConfigError(f"{entry.key}: missing or damaged; nothing is published")
    return storage.put_if_absent(manifest.key, manifest.to_bytes())


def totals(storage: TierStorage) -> dict[str, int]:
    """{bytes, rows} of what manifests name, each file once."""
    files = {entry.key: entry for manifest in all_manifests(storage) for entry in manifest.files}
    return {
        "bytes": sum(entry.size_bytes for entry in files.values()),
        "rows": sum(entry.rows for entry in files.values()),
    }


def sweep(storage: TierStorage, venue_id: str, match_id: str) -> int:
    """Delete data and state of a match that no manifest names; how many went.

    Only its own match is swept: rolls of other matches may be under way.
    """
    manifests = chain(storage, venue_id, match_id)
    named = {entry.key for manifest in manifests for entry in manifest.files}
    mark = f"/venue={venue_id}/match={match_id}/"
    orphans = [key for key in storage.list("data") if mark in key and key not in named]
    for key in orphans:
        storage.delete(key)
    return len(orphans)
