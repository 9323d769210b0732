"""ModelStore: weights in a folder, each file named by its sha256, with aliases per net.

Layout: `<root>/<sha256>.pt` and `<root>/aliases.json` ({net: {alias: sha256}}). Files never change;
an alias moves by an atomic replace. `default_store()` is what ships with the code, `open_store` a
folder of own weights above it.
"""

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Final

from models.errors import ModelError
from models.nets.contract import NET_NAMES

SHIPPED: Final = Path(__file__).resolve().parent.parent / "models" / "nets" / "weights"
ALIASES: Final = ("champion", "canary")
MAX_BYTES: Final = 64 * 1024 * 1024
_SHA: Final = re.compile(r"[0-9a-f]{64}")


class ModelStore:
    """A folder of weights. Several processes may read; one at a time may write.

    What `root` does not have is looked for in `below`, a store that is only read.
    """

    def __init__(self, root: str | Path, below: "ModelStore | None" = None) -> None:
        self.root, self.below = Path(root), below

    def put(self, payload: bytes) -> str:
        """Keeps `payload`; its sha256. Keeping the same bytes again changes nothing."""
        if len(payload) > MAX_BYTES:
            raise ModelError(f"weights of {len(payload)} bytes are over {MAX_BYTES}")
        digest = hashlib.sha256(payload).hexdigest()
        target = self.root / f"{digest}.pt"
        if not target.exists():
            self._replace(target, payload)
        return digest

    def read(self, sha256: str) -> bytes:
        """The bytes of `sha256`. Raises ModelError when absent, too large or altered."""
        if not _SHA.fullmatch(sha256):
            raise ModelError(f"not a sha256: {sha256[:80]!r}")
        path = self.root / f"{sha256}.pt"
        if self.below is not None and not path.exists():
            return self.below.read(sha256)
        try:
            if path.stat().st_size > MAX_BYTES:
                raise ModelError(f"{path.name} is over {MAX_BYTES} bytes")
            payload = path.read_bytes()
        except OSError as error:
            raise ModelError(f"no weights {sha256} in {self.root}: {error}") from error
        found = hashlib.sha256(payload).hexdigest()
        if found != sha256:
            raise ModelError(f"{path.name} has been altered: it hashes to {found}")
        return payload

    def resolve(self, name: str, alias: str = "champion") -> str:
        """The sha256 that `alias` of `name` stands for. Raises ModelError when it is not set."""
        found = self.aliases().get(name, {}).get(alias)
        if found is None and self.below is not None:
            return self.below.resolve(name, alias)
        if found is None:
            raise ModelError(f"net {name!r} has no {alias!r} in {self.root}")
        return found

    def aliases(self) -> dict[str, dict[str, str]]:
        """Own aliases: {net: {alias: sha256}}. Raises ModelError when the file is not readable."""
        path = self.root / "aliases.json"
        if not path.exists():
            return {}
        try:
            table = json.loads(path.read_bytes())
            return {
                str(net): {str(alias): str(sha) for alias, sha in row.items()}
                for net, row in table.items()
            }
        except (OSError, ValueError, AttributeError) as error:
            raise ModelError(f"{path} is not a table of aliases: {error}") from error

    def set_alias(self, name: str, alias: str, sha256: str) -> None:
        """Points `alias` of `name` at weights that are in the store. Raises ModelError if not."""
        if name not in NET_NAMES or alias not in ALIASES:
            raise ModelError(f"no alias {alias!r} of net {name!r}")
        self.read(sha256)
        table = self.aliases()
        table.setdefault(name, {})[alias] = sha256
        text = json.dumps(table, indent=2, sort_keys=True) + "\n"
        self._replace(self.root / "aliases.json", text.encode())

    def drop_alias(self, name: str, alias: str) -> None:
        """Forgets an alias (say, a canary that was rolled back); no error when it was not set."""
        table = self.aliases()
        if table.get(name, {}).pop(alias, None) is not None:
            text = json.dumps(table, indent=2, sort_keys=True) + "\n"
            self._replace(self.root / "aliases.json", text.encode())

    def _replace(self, target: Path, payload: bytes) -> None:
        """Writes beside the target, syncs, then renames: readers see all or nothing."""
        self.root.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".{target.name}.{os.getpid()}")
        with beside.open("wb") as sink:
            sink.write(payload)
            sink.flush()
            os.fsync(sink.fileno())
        beside.replace(target)


def default_store() -> ModelStore:
    """The weights that ship with Touchline."""
    return ModelStore(SHIPPED)


def open_store(root: str | Path) -> ModelStore:
    """A folder of own weights; nets that it does not have come from those that ship."""
    return ModelStore(root, below=default_store())
