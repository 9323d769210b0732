"""The catalogue of a tier: which files are its content, published by atomic manifests.

Data files are written first, under names made from the number of the roll and their content. A
manifest then names them; it is put only if its number is not taken, and only what a manifest names
is content. A job that dies at any step leaves files that nothing names (a later roll sweeps them),
never a half-visible roll; of two rolls at the same time one finds its number taken.

Layout below the tier's root: `data/<hive partitions>/<number>-<sha256>.parquet`,
`manifests/<venue>/<match>/<number>.json`, `state/<venue>/<match>/<number>-<sha256>`; and
`due/<venue>/<match>/<number>` while what that roll made superfluous is still to be swept.
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
    def sizes(self, prefix: str = "") -> dict[str, int]: ...
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
    """One roll of one match.

    root      folder of all data files of the match; `files_total` counts those that this and all
              earlier manifests name
    cursors   log offsets up to which topics are in the tier; `state_key` names the state there
    closed    the match has ended and all that it made is in the tier
    """

    venue_id: str
    match_id: str
    number: int
    root: str
    files: tuple[DataFile, ...]
    files_total: int
    cursors: Mapping[str, int] = field(default_factory=dict)
    state_key: str = ""
    closed: bool = False

    @property
    def key(self) -> str:
        return f"{_manifests(self.venue_id, self.match_id)}/{self.number:08d}.json"

    @property
    def rows(self) -> int:
        return sum(entry.rows for entry in self.files)

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


def put_data(
    storage: TierStorage, folder: str, number: int, kind: str, rows: int, data: bytes
) -> DataFile:
    """Write a data file of roll `number` and read it back; writing it again changes nothing.

    Raises StorageError, ConfigError when the storage gives back something else. A file that is
    gone is no error yet: a roll that was quicker with this number may have swept it, which
    `publish` tells from a storage that loses what it was given.
    """
    sha256 = hashlib.sha256(data).hexdigest()
    key = f"{folder}/{number:08d}-{sha256[:32]}.parquet"
    storage.put_atomic(key, data)
    # Once, here, where the bytes are at hand: whoever publishes only looks at names and sizes.
    back = storage.get(key)
    if back is not None and hashlib.sha256(back).hexdigest() != sha256:
        raise ConfigError(f"{key}: the storage does not give back what was put")
    return DataFile(key, kind, rows, len(data), sha256)


def put_state(
    storage: TierStorage, venue_id: str, match_id: str, number: int, state: bytes
) -> str:
    """Write the state after roll `number`; its key. Raises StorageError."""
    name = f"{number:08d}-{hashlib.sha256(state).hexdigest()[:32]}"
    key = f"{_states(venue_id, match_id)}/{name}"
    storage.put_atomic(key, state)
    return key


def last_manifest(storage: TierStorage, venue_id: str, match_id: str) -> Manifest | None:
    """The newest manifest of a match. Raises StorageError, ConfigError."""
    keys = storage.list(_manifests(venue_id, match_id))
    data = storage.get(max(keys)) if keys else None
    return Manifest.from_bytes(data) if data is not None else None


def chain(storage: TierStorage, venue_id: str, match_id: str) -> list[Manifest]:
    """All manifests of a match, oldest first. Raises StorageError, ConfigError."""
    return _load(storage, _manifests(venue_id, match_id))


def all_manifests(storage: TierStorage) -> list[Manifest]:
    """Every manifest of the tier. Raises StorageError, ConfigError."""
    return _load(storage, "manifests")


def newest_manifests(storage: TierStorage) -> list[Manifest]:
    """The newest manifest of every match. Raises StorageError, ConfigError."""
    newest: dict[str, str] = {}
    for key in sorted(storage.list("manifests")):
        newest[key.rpartition("/")[0]] = key
    found = [storage.get(key) for key in newest.values()]
    return [Manifest.from_bytes(data) for data in found if data is not None]


def publish(storage: TierStorage, manifest: Manifest) -> bool:
    """Make the manifest's files content; False when another roll has taken its number.

    Raises ConfigError when a file that it names is missing or of another size, StorageError.
    """
    # First: another roll may turn out to be quicker.
    leave_to_sweep(storage, manifest)
    there = storage.sizes(manifest.root) if manifest.files else {}
    for entry in manifest.files:
        if there.get(entry.key) != entry.size_bytes:
            # Whoever has taken the number may have swept what we had written for it.
            if storage.get(manifest.key) is not None:
                return False
            raise ConfigError(f"{entry.key}: missing or damaged; nothing is published")
    return storage.put_if_absent(manifest.key, manifest.to_bytes())


def leave_to_sweep(storage: TierStorage, manifest: Manifest) -> None:
    """See that what rolls up to this one's number have written and nothing names is swept: the
    sweep of a quicker roll may have passed before the last file was there. Raises StorageError."""
    storage.put_atomic(f"{_due(manifest.venue_id, manifest.match_id)}/{manifest.number:08d}", b"-")


def sweep_due(storage: TierStorage) -> int:
    """Sweep every match that has something published since it was swept last, also by a roll that
    died before it could; how many objects went. Raises StorageError, ConfigError."""
    matches = {tuple(key.split("/")[1:3]) for key in storage.list("due")}
    newest = [last_manifest(storage, venue_id, match_id) for venue_id, match_id in sorted(matches)]
    return sum(sweep(storage, manifest) for manifest in newest if manifest is not None)


def sweep(storage: TierStorage, manifest: Manifest) -> int:
    """Delete what rolls up to this one's number have left behind; how many objects went.

    Safe beside other rolls: whatever bears a published number and is not named will never be, and
    rolls under way write under numbers that are not published yet.
    """
    files = [key for key in storage.list(manifest.root) if _number(key) <= manifest.number]
    doomed = []
    if len(files) != manifest.files_total:
        past = chain(storage, manifest.venue_id, manifest.match_id)
        named = {entry.key for one in past for entry in one.files}
        doomed = [key for key in files if key not in named]
    states = storage.list(_states(manifest.venue_id, manifest.match_id))
    doomed += [k for k in states if _number(k) <= manifest.number and k != manifest.state_key]
    due = storage.list(_due(manifest.venue_id, manifest.match_id))
    for key in (*doomed, *(key for key in due if _number(key) <= manifest.number)):
        storage.delete(key)
    return len(doomed)


def totals(storage: TierStorage) -> dict[str, int]:
    """{bytes, rows} of what manifests name."""
    files = [entry for manifest in all_manifests(storage) for entry in manifest.files]
    return {
        "bytes": sum(entry.size_bytes for entry in files),
        "rows": sum(entry.rows for entry in files),
    }


def damaged_files(storage: TierStorage) -> list[str]:
    """Keys of content that is missing or not what its manifest says; reads every byte."""
    files = [entry for manifest in all_manifests(storage) for entry in manifest.files]
    return [
        entry.key for entry in files
        if hashlib.sha256(storage.get(entry.key) or b"").hexdigest() != entry.sha256
    ]


def _load(storage: TierStorage, prefix: str) -> list[Manifest]:
    found = [storage.get(key) for key in sorted(storage.list(prefix))]
    return [Manifest.from_bytes(data) for data in found if data is not None]


def _manifests(venue_id: str, match_id: str) -> str:
    return f"manifests/{venue_id}/{match_id}"


def _states(venue_id: str, match_id: str) -> str:
    return f"state/{venue_id}/{match_id}"


def _due(venue_id: str, match_id: str) -> str:
    return f"due/{venue_id}/{match_id}"


def _number(key: str) -> int:
    """The number of the roll that wrote an object; beyond all others for a foreign file."""
    head = key.rpartition("/")[2].partition("-")[0]
    return int(head) if head.isdigit() else 1 << 62
