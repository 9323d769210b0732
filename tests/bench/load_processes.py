"""Whose CPU and memory it is: the processes of a run by what they are."""

import psutil

KINDS = {
    "ray::Stadium": "stadium", "ray::WorkerShell": "worker",
    "ray::CoordinatorShell": "coordinator", "ray::TwinStore": "twin store",
    "ray::SupervisorShell": "supervisor",
}
PLAIN = {"raylet": "raylet", "gcs_server": "gcs"}
BASE, DRIVER = "ray base", "driver"


def kind_of(process: psutil.Process) -> str:
    """By the title that Ray gives an actor; the rest of Ray is its base."""
    words = process.cmdline()
    text = " ".join(words)
    for title, kind in KINDS.items():
        if text.startswith(title):
            return kind
    program = words[0].rsplit("/", 1)[-1] if words else ""
    return PLAIN.get(program, BASE)


class ProcessTable:
    """This process and its descendants. An actor gets its title some time after its start, so
    kinds are looked up anew each time."""

    def __init__(self) -> None:
        self._me = psutil.Process()

    def _each(self) -> list[tuple[str, psutil.Process]]:
        found = [(DRIVER, self._me)]
        for process in self._me.children(recursive=True):
            try:
                if "py-spy" not in " ".join(process.cmdline()):
                    found.append((kind_of(process), process))
            except psutil.Error:
                continue
        return found

    def cpu_s(self) -> dict[str, float]:
        """User and system seconds so far, by kind, of the processes that are alive."""
        spent: dict[str, float] = {}
        for kind, process in self._each():
            try:
                times = process.cpu_times()
            except psutil.Error:
                continue
            spent[kind] = spent.get(kind, 0.0) + times.user + times.system
        return spent

    def memory(self) -> dict[str, int]:
        """PSS bytes by kind: shared pages count once in all."""
        held: dict[str, int] = {}
        for kind, process in self._each():
            try:
                held[kind] = held.get(kind, 0) + process.memory_full_info().pss
            except psutil.Error:
                continue
        return held

    def count(self) -> dict[str, int]:
        """Processes by kind."""
        counts: dict[str, int] = {}
        for kind, _ in self._each():
            counts[kind] = counts.get(kind, 0) + 1
        return counts

    def pids(self) -> dict[str, int]:
        """One process of each kind."""
        return {kind: process.pid for kind, process in reversed(self._each())}
