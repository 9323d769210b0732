"""Meters the process tree of a run: CPU seconds, and the peak of resident memory.

RSS counts a page that several processes share once for each of them; PSS counts it once in all.
Both are sampled, so a peak shorter than `period_s` can be missed. CPU seconds of a process that
has ended are kept from its last sample.
"""

import threading
from dataclasses import dataclass, field

import psutil


@dataclass(slots=True)
class ProcessMeter:
    """Samples this process and all of its descendants until `stop`."""

    period_s: float = 0.5
    rss_bytes_max: int = 0
    pss_bytes_max: int = 0
    process_n_max: int = 0
    _cpu_s: dict[tuple[int, float], float] = field(default_factory=dict)
    _base_s: dict[tuple[int, float], float] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> "ProcessMeter":
        """Begin to sample; what this process has used so far does not count."""
        self._sample(with_pss=False)
        self._base_s = dict(self._cpu_s)
        self._thread = threading.Thread(target=self._run, name="meter", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Take the last sample and end."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=10)
            self._thread = None
            self._sample(with_pss=True)

    @property
    def cpu_s(self) -> float:
        """CPU seconds (user and system) of the whole tree since `start`."""
        return sum(spent - self._base_s.get(key, 0.0) for key, spent in self._cpu_s.items())

    def usage(self) -> dict[str, float]:
        """The figures under the names that the report gives them."""
        return {
            "cpu_s": self.cpu_s, "rss_bytes_max": self.rss_bytes_max,
            "pss_bytes_max": self.pss_bytes_max, "process_n_max": self.process_n_max,
        }

    def _run(self) -> None:
        turn = 0
        while not self._stop.wait(self.period_s):
            # PSS walks every page table: dear, so only each tenth sample.
            self._sample(with_pss=turn % 10 == 9)
            turn += 1

    def _sample(self, with_pss: bool) -> None:
        rss = pss = count = 0
        me = psutil.Process()
        for process in [me, *me.children(recursive=True)]:
            try:
                with process.oneshot():
                    times = process.cpu_times()
                    self._cpu_s[process.pid, process.create_time()] = times.user + times.system
                    rss += process.memory_info().rss
                    count += 1
                if with_pss:
                    pss += process.memory_full_info().pss
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue
        self.rss_bytes_max = max(self.rss_bytes_max, rss)
        self.pss_bytes_max = max(self.pss_bytes_max, pss)
        self.process_n_max = max(self.process_n_max, count)
