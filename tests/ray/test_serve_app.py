"""The Serve application on a real cluster: nets, API, and actors that come and go."""

import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from actors.twin_store import TwinStore
from cluster.audit import verify_chain
from cluster.eventlog.open import open_log
from cluster.eventlog.port import Record
from cluster.identity import open_issuer
from cluster.names import RAY_NAMESPACE, SERVE_APP, TWIN_STORE, stadium_actor
from cluster.settings import Settings
from models.nets.contract import INPUT_SHAPES, OUTPUT_NAMES
from tests.synthetic_match import MATCH, VENUE, MemoryLog, SyntheticMatch


class Stadium:
    """Answers as a stadium does."""

    def __init__(self) -> None:
        self.answer = [{
            "index": 0, "device_id": "tag-1", "seq": 1, "rows": 5, "accepted_rows": 5,
            "accepted": True, "reason": "none",
        }]

    def ingest(self, payload: bytes, content_type: str, identity: str = "") -> list[dict]:
        return self.answer

    def stats(self) -> dict:
        return {"account": {"in": len(self.answer)}}

    def set_answer(self, answer: list[dict]) -> None:
        self.answer = answer


class System:
    """Settings, a log with a match in it, the actors, and calls over HTTP."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.settings = Settings.from_dict({"data_dir": str(folder), "serve": {"port": port}})
        self.issuer = open_issuer(self.settings.identity)
        self.base = f"http://127.0.0.1:{port}"
        self.log = open_log(self.settings.log.url)
        memory = MemoryLog(time.time_ns)
        match = SyntheticMatch(memory, 600.0)
        for _ in range(4):
            match.step()
        self.event_ids = [match.event("sprint", place).event_id for place in range(5)]
        for topic in memory.topics():
            for seq, stored in enumerate(memory.read(topic, 0, 1 << 20)):
                r = stored.record
                self.log.append(topic, [Record("test", seq, r.t_ns, r.payload, r.content_type)], 0)

    def launch(self, shell: type, name: str, *args: object) -> object:
        import ray

        return ray.remote(shell).options(
            name=name, namespace=RAY_NAMESPACE, num_cpus=0.01, max_concurrency=8, max_restarts=-1
        ).remote(*args)

    def call(self, path: str, role: str = "performance", body: bytes | None = None):
        token = self.issuer.mint(f"{role}-user", role, claims={"team": "*"})
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/octet-stream"}
        request = urllib.request.Request(self.base + path, body, headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.load(answer), dict(answer.headers)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error), dict(error.headers)

    def until(self, path: str, status: int, limit_s: float = 20.0) -> dict:
        end_s = time.monotonic() + limit_s
        while True:
            found, body, _ = self.call(path)
            if found == status:
                return body
            assert time.monotonic() < end_s, (found, body)
            time.sleep(0.2)


@pytest.fixture(scope="module")
def system(ray_local: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    import ray
    from ray import serve

    from serve.app import build, http_options

    system = System(tmp_path_factory.mktemp("serve"))
    actors = [
        system.launch(TwinStore, TWIN_STORE, system.settings.to_dict()),
        system.launch(Stadium, stadium_actor(VENUE)),
    ]
    serve.start(http_options=http_options(system.settings))
    app = build({"settings": system.settings.to_dict()})
    serve.run(app, name=SERVE_APP, route_prefix="/")
    yield system
    serve.shutdown()
    for actor in actors:
        ray.kill(actor)
    system.log.close()


@pytest.mark.timeout(240)
def test_every_deployment_that_runs_has_the_quick_health_check(system: System) -> None:
    """By default a dead replica is looked for every 10 s."""
    import ray
    from ray.serve._private.constants import SERVE_CONTROLLER_NAME, SERVE_NAMESPACE

    controller = ray.get_actor(SERVE_CONTROLLER_NAME, namespace=SERVE_NAMESPACE)
    details = ray.get(controller.get_serve_instance_details.remote(), timeout=60)
    running = details["applications"][SERVE_APP]["deployments"]
    assert {
        name: one["deployment_config"]["health_check_period_s"] for name, one in running.items()
    } == dict.fromkeys(("api", "event-net", "fatigue-net", "failure-net"), 1.0)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("net", ["event", "fatigue", "failure"])
def test_a_net_answers_many_callers_at_once_as_it_answers_one(system: System, net: str) -> None:
    from ray import serve

    handle = serve.get_deployment_handle(f"{net}-net", app_name=SERVE_APP)
    rng = np.random.default_rng(4)
    calls = [
        rng.normal(size=(1 + n % 3, *INPUT_SHAPES[net])).astype(np.float32) for n in range(24)
    ]
    alone = [handle.predict.remote(call).result() for call in calls[:3]]
    together = [r.result() for r in [handle.predict.remote(call) for call in calls]]
    for call, answer in zip(calls, together, strict=True):
        assert answer.shape == (len(call), len(OUTPUT_NAMES[net]))
    for one, many in zip(alone, together[:3], strict=True):
        assert np.allclose(one, many, atol=1e-5)
    info = handle.info.remote().result()
    assert info["batches"] < info["calls"]
    print(net, {k: info[k] for k in ("calls", "rows", "batches")})


@pytest.mark.timeout(120)
def test_a_call_with_a_bad_shape_fails_alone(system: System) -> None:
    from ray import serve

    handle = serve.get_deployment_handle("fatigue-net", app_name=SERVE_APP)
    good = np.zeros((2, *INPUT_SHAPES["fatigue"]), np.float32)
    bad = handle.predict.remote(np.zeros((2, 3), np.float32))
    fine = [handle.predict.remote(good) for _ in range(5)]
    with pytest.raises(Exception, match="input is"):
        bad.result()
    assert all(r.result().shape == (2, 3) for r in fine)


@pytest.mark.timeout(120)
def test_the_api_answers_from_the_named_actors(system: System) -> None:
    body = system.until(f"/v1/matches/{MATCH}", 200)
    assert body["venue_id"] == VENUE
    status, page, _ = system.call("/v1/events")
    assert status == 200
    assert [e["event_id"] for e in page["events"]] == system.event_ids
    assert system.call("/v1/athletes/nobody/state")[0] == 404
    status, ops, _ = system.call("/v1/ops")
    assert status == 200
    assert ops["samples"]["in"] == 1
    assert ops["pool"] == {"status": "away", "reason": "is not running"}
    assert ops["tiers"]["hot"]["rows"] > 0


@pytest.mark.timeout(120)
def test_ingest_goes_to_the_stadium_and_its_states_become_statuses(system: System) -> None:
    import ray

    path = f"/v1/ingest/{VENUE}"
    assert system.call(path, "device-gateway", b"x")[0] == 202
    assert system.call("/v1/ingest/nowhere", "device-gateway", b"x")[0] == 503
    stadium = ray.get_actor(stadium_actor(VENUE), RAY_NAMESPACE)
    one = {"index": 0, "device_id": "", "seq": 0, "rows": 0, "accepted_rows": 0, "accepted": False}
    for reason, status in (("retry", 429), ("finished", 503)):
        ray.get(stadium.set_answer.remote([{**one, "reason": reason}]))
        assert system.call(path, "device-gateway", b"x")[0] == status


@pytest.mark.timeout(120)
def test_a_denial_is_in_the_audit_chain(system: System) -> None:
    assert system.call("/v1/devices/health", "betting")[0] == 403
    folder = Path(system.settings.data_dir) / "audit"
    assert verify_chain(folder).holds
    text = "".join(path.read_text() for path in sorted(folder.glob("*.jsonl")))
    assert "betting:betting-user" in text
    assert "devices/health" in text


@pytest.mark.timeout(120)
def test_the_live_feed_streams_through_the_proxy(system: System) -> None:
    token = system.issuer.mint("page", "performance", claims={"team": "*"})
    request = urllib.request.Request(
        f"{system.base}/v1/live", headers={"Authorization": f"Bearer {token}"}
    )
    begun_s = time.monotonic()
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [answer.readline().decode() for _ in range(5)]
    assert lines[2].startswith("id: ")
    assert json.loads(lines[4].removeprefix("data: "))["full"]
    assert time.monotonic() - begun_s < 5


@pytest.mark.timeout(120)
def test_a_killed_twin_store_is_a_503_and_then_back_with_everything(system: System) -> None:
    import ray

    store = ray.get_actor(TWIN_STORE, RAY_NAMESPACE)
    ray.kill(store, no_restart=False)
    begun_s = time.monotonic()
    status, body, _ = system.call(f"/v1/matches/{MATCH}")
    took_s = time.monotonic() - begun_s
    assert status in (200, 404, 503), body
    assert took_s < 6
    system.until(f"/v1/matches/{MATCH}", 200)
    print(f"twin store back after {time.monotonic() - begun_s:.1f} s, first answer {took_s:.2f} s")
    page = system.call("/v1/events")[1]
    assert [e["event_id"] for e in page["events"]] == system.event_ids
