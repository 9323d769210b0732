"""`POST /v1/ingest` in process: verdicts, limits, back-pressure, absence."""

import pytest
from starlette.testclient import TestClient

from serve.api import build_api
from serve.ports import ApiLimits
from tests.local_ports import World

ARROW, BINARY = "application/vnd.apache.arrow.stream", "application/octet-stream"
GOOD = {"index": 0, "device_id": "tag-1", "seq": 40, "rows": 20, "accepted_rows": 20,
        "accepted": True, "reason": "none"}


@pytest.fixture
def world() -> World:
    world = World(None, limits=ApiLimits(max_body_bytes=1000))
    world.stadium.answer = [GOOD]
    return world


def post(
    world: World, content=b"packet", content_type=BINARY, role="device-gateway", coding=None,
    **claims,
):
    headers = {**world.auth(role, **claims), "Content-Type": content_type}
    if coding is not None:
        headers["Content-Encoding"] = coding
    client = TestClient(build_api(world.ports), raise_server_exceptions=False)
    return client.post("/v1/ingest/wembley", content=content, headers=headers)


@pytest.mark.parametrize(
    "content_type", [ARROW, BINARY, "application/json", "Application/JSON; charset=utf-8"]
)
def test_a_payload_is_answered_with_a_verdict_per_packet(world, content_type):
    bad = {**GOOD, "index": 1, "accepted": False, "accepted_rows": 0, "reason": "out_of_range"}
    world.stadium.answer = [GOOD, bad]
    answer = post(world, b"\x00\x01", content_type)
    assert answer.status_code == 202
    assert answer.json() == {"verdicts": [GOOD, bad], "accepted_rows": 20}
    venue, payload, given, identity = world.stadium.taken[0]
    assert (venue, payload, identity) == ("wembley", b"\x00\x01", "device-gateway-user")
    assert given == content_type.partition(";")[0].lower()


@pytest.mark.parametrize("role", ["coach", "betting", "medical", "ops", "broadcaster"])
def test_only_gateways_and_services_may_send(world, role):
    assert post(world, role=role).status_code == 403
    assert world.stadium.taken == []
    assert world.denials[-1][1] == "ingest"


def test_a_gateway_may_send_only_to_its_own_venues(world):
    assert post(world, venues=["anfield"]).status_code == 403
    assert post(world, venues=["wembley"]).status_code == 202


def test_a_payload_over_the_limit_is_413_with_and_without_a_declared_length(world):
    assert post(world, b"x" * 1001).status_code == 413
    assert post(world, iter([b"x" * 600, b"x" * 600])).status_code == 413
    assert post(world, b"x" * 1000).status_code == 202
    assert len(world.stadium.taken) == 1


def test_an_empty_payload_is_400_and_an_unknown_type_415(world):
    assert post(world, b"").status_code == 400
    answer = post(world, b"a,b", "text/csv")
    assert answer.status_code == 415
    assert ARROW in answer.json()["detail"]


@pytest.mark.parametrize(
    ("coding", "suffix"), [("zstd", "+zstd"), ("ZSTD", "+zstd"), ("identity", "")]
)
def test_a_dense_body_reaches_the_stadium_as_it_is_with_its_coding(world, coding, suffix):
    assert post(world, b"\x28\xb5", ARROW, coding=coding).status_code == 202
    assert world.stadium.taken[0][1:3] == (b"\x28\xb5", ARROW + suffix)


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd, gzip"])
def test_other_codings_are_415_and_name_the_one_that_is_known(world, coding):
    answer = post(world, b"x", ARROW, coding=coding)
    assert answer.status_code == 415
    assert "zstd" in answer.json()["detail"]
    assert world.stadium.taken == []


def test_a_full_queue_is_429_and_says_when_to_come_back(world):
    retry = {**GOOD, "accepted": False, "accepted_rows": 0, "rows": 0, "reason": "retry"}
    world.stadium.answer = [retry]
    answer = post(world)
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_stadium_that_is_away_is_503_with_its_name(world):
    world.stadium.away = "is not running"
    answer = post(world)
    assert answer.status_code == 503
    assert answer.json()["part"] == "stadium/wembley"


def test_rubbish_is_a_verdict_and_no_error(world):
    world.stadium.answer = [
        {**GOOD, "device_id": "", "rows": 0, "accepted_rows": 0, "accepted": False,
         "reason": "wrong_format"}
    ]
    answer = post(world, b"\xff" * 64)
    assert answer.status_code == 202
    assert answer.json()["accepted_rows"] == 0
    assert answer.json()["verdicts"][0]["reason"] == "wrong_format"
