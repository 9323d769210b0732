"""The model store and the registry: content addresses, aliases, refusal of what is not right."""

import json
from pathlib import Path

import pytest
import torch

from cluster.model_store import ModelStore, default_store, open_store
from models.errors import ModelError
from models.nets.contract import NET_NAMES
from models.nets.modules import new_module
from models.nets.registry import decode_weights, encode_weights, load_net, sha256_of


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


def some_weights(name: str = "failure") -> bytes:
    return encode_weights(name, new_module(name), {"net_pr_auc": 0.5})


def test_weights_are_kept_under_the_hash_of_their_bytes(store: ModelStore) -> None:
    payload = some_weights()
    sha256 = store.put(payload)
    assert sha256 == sha256_of(payload)
    assert store.put(payload) == sha256
    assert store.read(sha256) == payload
    assert [p.name for p in store.root.iterdir()] == [f"{sha256}.pt"]


def test_an_alias_points_at_weights_that_are_there_and_can_move(store: ModelStore) -> None:
    first, second = store.put(some_weights()), store.put(some_weights())
    store.set_alias("failure", "champion", first)
    store.set_alias("failure", "canary", second)
    assert store.resolve("failure", "champion") == first
    store.set_alias("failure", "champion", second)
    assert store.resolve("failure", "champion") == second
    store.drop_alias("failure", "canary")
    store.drop_alias("failure", "canary")
    with pytest.raises(ModelError, match="canary"):
        store.resolve("failure", "canary")
    with pytest.raises(ModelError, match="no weights"):
        store.set_alias("failure", "champion", "0" * 64)
    with pytest.raises(ModelError, match="no alias"):
        store.set_alias("failure", "best", second)


def test_altered_weights_are_refused(store: ModelStore) -> None:
    sha256 = store.put(some_weights())
    store.set_alias("failure", "champion", sha256)
    path = store.root / f"{sha256}.pt"
    payload = bytearray(path.read_bytes())
    payload[len(payload) // 2] ^= 1
    path.write_bytes(payload)
    with pytest.raises(ModelError, match="altered"):
        load_net("failure", store)


def test_a_name_that_is_no_hash_never_reaches_the_file_system(store: ModelStore) -> None:
    for name in ("../../etc/passwd", "", "A" * 64, "0" * 63):
        with pytest.raises(ModelError, match="not a sha256"):
            store.read(name)


def test_a_torn_alias_table_is_an_error_not_a_guess(store: ModelStore) -> None:
    store.put(some_weights())
    (store.root / "aliases.json").write_text("{")
    with pytest.raises(ModelError, match="aliases"):
        store.resolve("failure")


def test_bytes_that_hash_right_but_are_not_weights_are_refused(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (Path(tmp_path / "sprung"),))

    import pickle

    for payload in (b"", b"not a zip", pickle.dumps(Trap())):
        with pytest.raises(ModelError, match="not weights"):
            decode_weights("failure", sha256_of(payload), payload)
    assert not (tmp_path / "sprung").exists()


def test_weights_of_another_net_or_shape_are_refused() -> None:
    payload = some_weights("fatigue")
    with pytest.raises(ModelError, match="weights are of fatigue"):
        decode_weights("failure", sha256_of(payload), payload)
    module = new_module("failure")
    module.body = torch.nn.Sequential(torch.nn.Linear(3, 3))
    odd = encode_weights("failure", module, {})
    with pytest.raises(ModelError, match="do not fit"):
        decode_weights("failure", sha256_of(odd), odd)


def test_a_folder_of_own_weights_lies_above_those_that_ship(tmp_path: Path) -> None:
    own = open_store(tmp_path)
    assert own.resolve("event") == default_store().resolve("event")
    mine = own.put(some_weights("event"))
    own.set_alias("event", "champion", mine)
    assert own.resolve("event") == mine
    assert load_net("event", own).version == mine
    assert load_net("fatigue", own).version == default_store().resolve("fatigue")


def test_every_net_ships_with_small_weights_and_a_card() -> None:
    store = default_store()
    table = json.loads((store.root / "aliases.json").read_text())
    for name in NET_NAMES:
        net = load_net(name, store)
        payload = store.read(table[name]["champion"])
        assert len(payload) < 1_000_000
        card = (store.root.parent / "cards" / f"{name}.md").read_text()
        assert net.version in card
    assert len(list(store.root.glob("*.pt"))) == len(NET_NAMES)


def test_an_unknown_net_is_refused(store: ModelStore) -> None:
    with pytest.raises(ModelError, match="no net is called"):
        load_net("oracle", store)
