"""The net client: batches, bounds, one retry, rules when the nets do not answer."""

import json
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest

from actors.net_client import NetClient, NetConfig, NetTask, Prediction, fits
from models.nets.contract import EVENT_WINDOW, FATIGUE_FEATURES, FATIGUE_OUTPUTS, INPUT_SHAPES
from tests.unit.fakes_log import Clock


class Threads:
    """An executor whose calls run when the test says so."""

    def __init__(self) -> None:
        self.queue: list[tuple[Future, Any, tuple]] = []

    def submit(self, call: Any, *args: Any) -> Future:
        future: Future = Future()
        self.queue.append((future, call, args))
        return future

    def run(self) -> int:
        queue, self.queue = self.queue, []
        for future, call, args in queue:
            try:
                future.set_result(call(*args))
            except Exception as error:
                future.set_exception(error)
        return len(queue)


class Net:
    """A served net that answers 0.1, 0.2, 0.3, or fails."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.fail = 0

    def __call__(self, name: str, inputs: np.ndarray) -> np.ndarray:
        self.sizes.append(len(inputs))
        if self.fail:
            self.fail -= 1
            raise ConnectionError("replica gone")
        return np.tile(np.array([[0.1, 0.2, 0.3]], np.float32), (len(inputs), 1))


def task(k: int, owner: str = "a") -> NetTask:
    data = np.full(len(FATIGUE_FEATURES), 0.5, np.float32)
    return NetTask("fatigue", "v", ("subject_id", f"s{k}"), k, data, owner=owner)


@pytest.fixture
def world() -> tuple[NetClient, Net, Threads, Clock]:
    net, threads, clock = Net(), Threads(), Clock()
    config = NetConfig(batch=8, in_flight=2, waiting=40)
    return NetClient(net, clock, config, threads), net, threads, clock


def test_windows_of_many_flows_share_a_call(world: Any) -> None:
    client, net, threads, _ = world
    client.submit([task(k) for k in range(8)])
    assert client.poll() == []
    threads.run()
    found = client.poll()
    assert net.sizes == [8]
    assert [p.task.t_ns for p in found] == list(range(8))
    assert found[0].source == "net"
    assert found[0].scores == {"low": 0.1, "mid": 0.2, "high": 0.3}


def test_calls_in_flight_are_bounded_and_what_does_not_fit_is_answered_by_the_rules(
    world: Any,
) -> None:
    client, _, threads, _ = world
    client.submit([task(k) for k in range(100)])
    found = client.poll()
    assert len(threads.queue) == 2
    assert len(found) == 60
    assert {p.source for p in found} == {"fallback"}
    assert client.counters["net_queue_full"] == 60
    for _ in range(10):
        threads.run()
        found += client.poll()
    assert sorted(p.task.t_ns for p in found) == list(range(100))


def test_a_failed_call_is_repeated_once(world: Any) -> None:
    client, net, threads, _ = world
    net.fail = 1
    client.submit([task(0)])
    found: list[Prediction] = []
    for _ in range(3):
        found += client.poll()
        threads.run()
    assert [p.source for p in found] == ["net"]
    assert net.sizes == [1, 1]


def test_after_the_second_failure_the_rules_answer(world: Any) -> None:
    client, net, threads, _ = world
    net.fail = 2
    client.submit([task(0)])
    found: list[Prediction] = []
    for _ in range(4):
        found += client.poll()
        threads.run()
    assert [p.source for p in found] == ["fallback"]
    assert set(found[0].scores) == set(FATIGUE_OUTPUTS)


def test_a_net_that_keeps_failing_is_left_alone_for_a_while(world: Any) -> None:
    client, net, threads, clock = world
    net.fail = 99
    for k in range(3):
        client.submit([task(k)])
        for _ in range(3):
            client.poll()
            threads.run()
    calls = len(net.sizes)
    client.submit([task(9)])
    assert [p.source for p in client.poll()] == ["fallback"]
    assert len(net.sizes) == calls
    clock.advance(6.0)
    net.fail = 0
    client.submit([task(10)])
    client.poll()
    threads.run()
    assert [p.source for p in client.poll()] == ["net"]


def test_a_call_that_hangs_is_given_up(world: Any) -> None:
    client, _, threads, clock = world
    client.submit([task(0)])
    client.poll()
    clock.advance(10.0)
    client.poll()
    clock.advance(10.0)
    assert [p.source for p in client.poll()] == ["fallback"]
    threads.run()
    assert client.poll() == []


def test_an_answer_of_the_wrong_shape_or_with_nan_counts_as_a_failure() -> None:
    for wrong in (np.zeros((1, 7), np.float32), np.full((1, 3), np.nan, np.float32)):
        threads = Threads()
        client = NetClient(lambda _n, _x, w=wrong: w, Clock(), pool=threads)
        client.submit([task(0)])
        found: list[Prediction] = []
        for _ in range(4):
            found += client.poll()
            threads.run()
        assert [p.source for p in found] == ["fallback"]


def test_without_nets_the_rules_answer_at_once() -> None:
    client = NetClient(None, Clock())
    client.submit([task(0)])
    assert [p.source for p in client.poll()] == ["fallback"]


def test_settling_an_owner_answers_its_tasks_now_and_drops_late_answers(world: Any) -> None:
    client, _, threads, _ = world
    client.submit([task(0, "a"), task(1, "b")])
    client.poll()
    client.submit([task(2, "a")])
    client.settle({"a"})
    assert sorted(p.task.t_ns for p in client.poll()) == [0, 2]
    assert not client.busy("a")
    assert client.busy("b")
    threads.run()
    assert [(p.task.t_ns, p.source) for p in client.poll()] == [(1, "net")]
    assert not client.busy("b")


def test_a_prediction_is_json_with_the_names_of_the_contract() -> None:
    client = NetClient(None, Clock())
    client.submit([task(7)])
    body = json.loads(client.poll()[0].encode())
    assert body["kind"] == "fatigue"
    assert (body["subject_id"], body["t_ns"], body["source"]) == ("s7", 7, "fallback")
    assert set(body["scores"]) == set(FATIGUE_OUTPUTS)


def test_only_inputs_of_the_right_shape_fit() -> None:
    assert fits("event", np.zeros(EVENT_WINDOW, np.float32))
    assert not fits("event", np.zeros(3, np.float32))
    assert not fits("weather", np.zeros(EVENT_WINDOW, np.float32))


def test_calls_run_in_threads_of_the_client() -> None:
    client = NetClient(Net(), Clock())
    client.submit([task(0)])
    client.poll()
    client.drain(5.0)
    assert [p.source for p in client.poll()] == ["net"]
    client.close()


def test_rules_answer_tasks_of_several_nets_in_their_order() -> None:
    clock = Clock()
    together, single = NetClient(None, clock), NetClient(None, clock)
    still = np.zeros(INPUT_SHAPES["event"], np.float32)
    windows = [NetTask("event", "v", ("subject_id", f"e{k}"), k, still) for k in range(3)]
    tasks = [task(1), task(2), *windows, task(3)]
    together.submit(tasks)
    for one in tasks:
        single.submit([one])
    assert [p.task for p in together.poll()] == tasks
    together.submit(tasks)
    assert [p.encode() for p in together.poll()] == [p.encode() for p in single.poll()]
    assert together.counters["predictions_fallback"] == 2 * len(tasks)
