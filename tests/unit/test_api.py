"""The HTTP interface in process: reads, roles, problems, and parts that are away."""

import json

import pytest
from starlette.testclient import TestClient

from actors.twin_store import TwinStore
from models.flows.layout import BALL_COLUMNS, PERSON_COLUMNS
from models.latency import LatencyHistogram
from models.policies.access import COLUMN_CLASSES, Role
from serve.api import build_api
from serve.catalogue import ALWAYS, HEALTH, INDEX, METRICS, class_of
from serve.page_routes import CSP
from tests.local_ports import World
from tests.synthetic_match import MATCH, START_NS, VENUE, MemoryLog, S, SyntheticMatch

NOW = START_NS + 3000 * S
ATHLETE = "ath_wembley_h07"
HEALTH_NAMES = ("hr_", "trimp", "fatigue", "dbal", "wbal")


def make_world(extra=None) -> World:
    log = MemoryLog(lambda: NOW)
    match = SyntheticMatch(log, elapsed_s=1200.0)
    for _ in range(4):
        match.step()
    match.health()
    for type_, place, metrics in (
        ("sprint", 6, {"peak_mps": 8.2}), ("fatigue_red", 6, {"index": 0.8}),
        ("man_down", 3, {"down_s": 9.0}), ("pass", 20, {"length_m": 12.0, "hr_bpm": 170.0}),
        ("novelty", 2, {}),
    ):
        match.event(type_, place, metrics=metrics, policy_class="tracking")
    match.event("device_failed", subject_id="tag-ath_wembley_h01", sub_type="dropout")
    match.predict(kind="failure", device_id="tag-ath_wembley_a07", scores={"p_fail": 0.8})
    match.predict(kind="fatigue", subject_id=ATHLETE, scores={"low": 0.7, "mid": 0.8, "high": 0.9})
    store = TwinStore({}, autostart=False, log=log, now_ns=lambda: NOW)
    while store.step():
        pass
    world = World(store, now_ns=lambda: NOW, **(extra or {}))
    world.match = match
    return world


@pytest.fixture
def world() -> World:
    return make_world()


def client_of(world: World) -> TestClient:
    return TestClient(build_api(world.ports), raise_server_exceptions=False)


def get(world: World, path: str, role: str = "performance", **claims):
    return client_of(world).get(path, headers=world.auth(role, **claims))


def test_every_v1_route_refuses_a_caller_without_a_good_token(world):
    client = client_of(world)
    paths = [
        (method, path) for path, methods in client.get("/openapi.json").json()["paths"].items()
        for method in methods if path.startswith("/v1")
    ]
    assert len(paths) >= 13
    for method, path in paths:
        for headers in ({}, {"Authorization": "Bearer x.y.z"}, {"Authorization": "Basic YTpi"}):
            answer = client.request(method, path, headers=headers)
            assert answer.status_code == 401, (method, path)
            assert answer.headers["content-type"] == "application/problem+json"
            assert "Bearer" in answer.headers["www-authenticate"]


def test_a_token_in_the_query_is_no_token(world):
    answer = client_of(world).get(f"/v1/venues?access_token={world.token()}")
    assert answer.status_code == 401


def test_venues_and_matches_say_clock_and_status(world):
    venues = get(world, "/v1/venues").json()["venues"]
    assert [v["venue_id"] for v in venues] == [VENUE]
    match = get(world, f"/v1/matches/{MATCH}").json()
    assert (match["clock"], match["period"], match["status"]) == ("20:01", "first_half", "live")
    venue = get(world, f"/v1/venues/{VENUE}").json()
    assert len(venue["roster"]) == 26
    assert [m["match_id"] for m in get(world, "/v1/matches").json()["matches"]] == [MATCH]


def test_every_metric_carries_age_status_version_and_formula(world):
    body = get(world, f"/v1/athletes/{ATHLETE}/metrics").json()
    names = {m["name"] for m in body["metrics"]}
    assert {"distance_m", "hr_bpm", "fatigue_index", "player_load_au"} <= names
    for metric in body["metrics"]:
        assert metric["status"] == "provisional"
        assert metric["algo_version"]
        assert metric["formula"]
        assert metric["age_ms"] >= 0
        assert metric["received_age_ms"] == 0
    assert {m["name"]: m["age_ms"] for m in body["metrics"]}["hr_bpm"] == 600.0
    assert body["history"][0]["distance_m"] > 0


@pytest.mark.parametrize("role", ["betting", "broadcaster", "league"])
def test_these_roles_never_see_health_anywhere(world, role):
    for path in (
        f"/v1/athletes/{ATHLETE}/state", f"/v1/athletes/{ATHLETE}/metrics",
        f"/v1/matches/{MATCH}/athletes", "/v1/events", "/v1/catalogue", "/v1/ops",
        "/v1/devices/health", "/v1/predictions",
    ):
        answer = get(world, path, role)
        assert answer.status_code in (200, 403), path
        text = answer.text if answer.status_code == 200 else ""
        assert not [n for n in HEALTH_NAMES if f'"{n}' in text.replace("hr_stale", "")], path
        assert "man_down" not in text
        assert "fatigue_red" not in text


def test_a_denial_is_a_403_problem_and_is_audited(world):
    answer = get(world, "/v1/devices/health", "betting")
    assert answer.status_code == 403
    assert answer.json()["title"] == "Not allowed"
    caller, action, resource, reason = world.denials[-1]
    assert (caller.role, action, resource) == (Role.BETTING, "read", "devices/health")
    assert "device_health" in reason


def test_columns_that_are_withheld_are_audited_once_per_token(world):
    headers = world.auth("betting")
    client = client_of(world)
    for _ in range(3):
        assert client.get(f"/v1/matches/{MATCH}/athletes", headers=headers).status_code == 200
    told = [denial for denial in world.denials if "health_biometric" in denial[3]]
    assert len(told) == 1


def test_betting_gets_positions_to_the_metre_only(world):
    rows = get(world, f"/v1/matches/{MATCH}/athletes", "betting").json()["athletes"]
    row = next(r for r in rows if r["subject_id"] == ATHLETE)
    assert row["x_m"] == round(world.match.person_row(6)["x_m"])
    assert isinstance(row["x_m"], int)
    assert not {"distance_m", "hsr_m", "intensity", "hot"} & set(row)


def test_a_team_sees_the_body_of_its_own_players_and_only_the_play_of_the_others(world):
    rows = get(world, f"/v1/matches/{MATCH}/athletes", "medical", team="home").json()["athletes"]
    by_id = {row["subject_id"]: row for row in rows}
    assert by_id["ath_wembley_h07"]["hr_bpm"] > 0
    assert not {"hr_bpm", "player_load_au", "fatigue_index"} & set(by_id["ath_wembley_a07"])
    assert by_id["ath_wembley_a07"]["distance_m"] > 0


def test_an_athlete_sees_only_itself(world):
    claims = {"athlete_id": ATHLETE}
    assert get(world, f"/v1/athletes/{ATHLETE}/state", "athlete", **claims).json()["hr_bpm"] > 0
    assert get(world, "/v1/athletes/ath_wembley_h08/state", "athlete", **claims).status_code == 403
    rows = get(world, f"/v1/matches/{MATCH}/athletes", "athlete", **claims).json()["athletes"]
    assert [row["subject_id"] for row in rows] == [ATHLETE]


def test_a_token_for_another_venue_opens_nothing_here(world):
    for path in (f"/v1/venues/{VENUE}", f"/v1/matches/{MATCH}", "/v1/events", "/v1/live"):
        assert get(world, path, venues=["elsewhere"]).status_code == 403, path
    assert get(world, "/v1/venues", venues=["elsewhere"]).json()["venues"] == []


def test_operators_see_devices_and_no_wearer(world):
    devices = get(world, "/v1/devices/health", "ops").json()["devices"]
    assert devices[0]["status"] == "failed"
    assert {device["subject_id"] for device in devices} == {""}
    failed = get(world, "/v1/devices/health?status=failed", "ops").json()["devices"]
    assert {d["id"] for d in failed} == {"tag-ath_wembley_h01"}
    assert get(world, f"/v1/matches/{MATCH}/athletes", "ops").status_code == 403


def test_events_are_filtered_by_type_and_paged_by_cursor(world):
    body = get(world, f"/v1/events?match={MATCH}&type=sprint&type=pass", "medical").json()
    assert [e["type"] for e in body["events"]] == ["sprint", "pass"]
    first = get(world, "/v1/events?limit=2", "medical").json()
    assert first["more"]
    rest = get(world, f"/v1/events?cursor={first['next_cursor']}", "medical").json()
    assert len(first["events"]) + len(rest["events"]) == 6
    assert not rest["more"]


def test_an_event_type_that_nobody_classified_is_for_full_readers_only(world):
    def types(role):
        return [e["type"] for e in get(world, "/v1/events", role).json()["events"]]

    event = {"type": "novelty", "policy_class": "secret"}
    from models.policies.event_view import class_of_event

    assert class_of_event(event) == HEALTH
    assert "man_down" in types("medical")
    assert "man_down" not in types("coach")
    assert "fatigue_red" in types("coach")


def test_health_metrics_are_cut_out_of_events_for_readers_without_health(world):
    def of(role):
        events = get(world, "/v1/events?type=pass", role).json()["events"]
        return events[0]["metrics"]

    assert of("broadcaster") == {"length_m": 12.0}
    assert of("medical") == {"length_m": 12.0, "hr_bpm": 170.0}


def test_a_full_page_of_events_has_an_etag_and_answers_304(world):
    headers = world.auth("medical")
    client = client_of(world)
    first = client.get("/v1/events?limit=2", headers=headers)
    again = client.get(
        "/v1/events?limit=2", headers={**headers, "If-None-Match": first.headers["etag"]}
    )
    assert again.status_code == 304
    assert again.content == b""
    assert "etag" not in client.get("/v1/events", headers=headers).headers


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/venues/nowhere", 404), ("/v1/matches/none", 404), ("/v1/athletes/nobody/state", 404),
        ("/v1/events?cursor=-1", 422), ("/v1/events?limit=100000", 422), ("/v1/nothing", 404),
        ("/v1/events?venue=nowhere", 404), ("/v1/live?venue=nowhere", 404),
    ],
)
def test_errors_are_problem_documents(world, path, status):
    answer = get(world, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status


def test_a_twin_store_that_is_away_is_a_503_with_its_reason(world):
    world.twin.away = "is down; it is being restarted"
    for path in ("/v1/venues", f"/v1/athletes/{ATHLETE}/state", "/v1/live", "/readyz"):
        answer = get(world, path)
        assert answer.status_code == 503, path
        assert "being restarted" in answer.json()["detail"]
        assert answer.headers["retry-after"] == "2"
    assert client_of(world).get("/healthz").status_code == 200


def test_ops_adds_stages_up_and_shows_parts_that_are_away():
    edge = LatencyHistogram()
    edge.record(40_000_000)
    stats = {
        "account": {"in": 10, "forwarded": 7, "thinned": 2, "buffered": 0, "lost_by_counter": 1,
                    "rejected": {"duplicate": 1}},
        "latency": {"edge": edge.to_dict(), "odd": {"no": "histogram"}},
    }
    world = make_world({"stats": stats, "tiers": {"hot": {"bytes": 5, "rows": 1}}})
    world.pool.away = "is not running"
    body = get(world, "/v1/ops", "ops").json()
    assert body["stages"]["edge"]["p95"] == 40.0
    assert body["samples"]["rejected"] == {"duplicate": 1}
    assert body["pool"] == {"status": "away", "reason": "is not running"}
    assert body["tiers"]["hot"]["bytes"] == 5
    assert body["twin"]["damaged"] == {}
    assert set(get(world, "/v1/ops", "coach").json()) == {"now_ns", "stages"}


def test_an_unexpected_error_tells_nothing_of_the_inside(world, caplog):
    world.twin.store.venues = lambda: 1 / 0
    answer = get(world, "/v1/venues")
    assert answer.status_code == 500
    assert "ZeroDivision" not in answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_the_page_comes_with_a_strict_policy_and_nothing_from_elsewhere(world):
    client = client_of(world)
    for path in ("/", "/page/app.js", "/page/style.css", "/docs", "/v1/venues", "/healthz"):
        headers = client.get(path).headers
        assert headers["content-security-policy"] == CSP
        assert headers["x-content-type-options"] == "nosniff"
    assert "unsafe" not in CSP
    for path in ("/", "/page/app.js", "/page/feed.js", "/page/style.css", "/docs"):
        text = client.get(path).text
        assert "http://" not in text.replace("http://www.w3.org", "")
        assert "https://" not in text
        assert "<script>" not in text
        assert "style=" not in text
    tag = client.get("/page/app.js").headers["etag"]
    assert client.get("/page/app.js", headers={"If-None-Match": tag}).status_code == 304


def test_the_catalogue_and_the_policy_agree_on_every_column():
    known = {*PERSON_COLUMNS, *BALL_COLUMNS}
    assert not [name for name in known if not class_of(name)]
    wrong = {n: c for n, c in COLUMN_CLASSES.items() if class_of(n) not in (c, "")}
    assert wrong == {}
    sensitive = [n for n, m in METRICS.items() if m.data_class in (HEALTH, INDEX)]
    assert [n for n in sensitive if n not in COLUMN_CLASSES] == []
    assert all(class_of(n) == ALWAYS for n in ("t_ns", "status", "coverage"))


def test_the_description_is_valid_json_and_names_the_ingest_types(world):
    body = json.loads(client_of(world).get("/openapi.json").text)
    ingest = body["paths"]["/v1/ingest/{venue_id}"]["post"]
    assert "application/vnd.apache.arrow.stream" in ingest["requestBody"]["content"]
    assert body["components"]["securitySchemes"]
