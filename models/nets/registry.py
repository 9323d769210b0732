"""The registry's pure part: modules to bytes and back, named by the sha256 of the bytes.

Not owned: where bytes are kept (`cluster.model_store`). Bytes are loaded with `weights_only`, after
their hash is checked against the name they were asked for by.
"""

import hashlib
import io
from collections.abc import Mapping
from typing import Any, Protocol

import torch

from models.errors import ModelError
from models.nets.contract import NET_NAMES
from models.nets.modules import ARCHITECTURE, new_module
from models.nets.net import Net


class WeightSource(Protocol):
    """Where weights come from: the sha256 an alias stands for, and the bytes of a sha256."""

    def resolve(self, name: str, alias: str) -> str: ...

    def read(self, sha256: str) -> bytes: ...


def sha256_of(payload: bytes) -> str:
    return hashlib.sha256(payload).hexdigest()


def encode_weights(name: str, module: torch.nn.Module, card: Mapping[str, float]) -> bytes:
    """The bytes of a trained module, with the numbers of its card."""
    body = {
        "name": name, "architecture": ARCHITECTURE[name], "state": module.state_dict(),
        "card": {key: float(value) for key, value in card.items()},
    }
    sink = io.BytesIO()
    torch.save(body, sink)
    return sink.getvalue()


def decode_weights(name: str, sha256: str, payload: bytes) -> Net:
    """The net in `payload`.

    Raises ModelError when the bytes do not have that sha256, are not weights, are those of another
    net or architecture, or do not fit the module.
    """
    found = sha256_of(payload)
    if found != sha256:
        raise ModelError(f"{name}: weights hash to {found}, not to {sha256}")
    body = _load(name, payload)
    if body.get("name") != name or body.get("architecture") != ARCHITECTURE[name]:
        raise ModelError(f"{name}: weights are of {body.get('name')}/{body.get('architecture')}")
    module = new_module(name)
    try:
        module.load_state_dict(body["state"])
    except (KeyError, RuntimeError, TypeError) as error:
        raise ModelError(f"{name}: weights do not fit: {str(error)[:200]}") from error
    return Net(name, module, sha256, dict(body.get("card", {})))


def _load(name: str, payload: bytes) -> dict[str, Any]:
    # torch raises many kinds of error on foreign bytes (pickle, zip, runtime): all mean the same.
    try:
        body = torch.load(io.BytesIO(payload), weights_only=True, map_location="cpu")
    except Exception as error:
        raise ModelError(f"{name}: not weights: {str(error)[:200]}") from error
    if not isinstance(body, dict):
        raise ModelError(f"{name}: not weights: a {type(body).__name__}")
    return body


def load_net(name: str, store: WeightSource, alias: str = "champion") -> Net:
    """The net that `alias` of `name` stands for. Raises ModelError when it cannot be trusted."""
    if name not in NET_NAMES:
        raise ModelError(f"no net is called {name!r}; there are {', '.join(NET_NAMES)}")
    sha256 = store.resolve(name, alias)
    return decode_weights(name, sha256, store.read(sha256))
