"""Our column of the peer contest: the fused kernel, streaming, in the contest's own batches.

Runs in the contest's folder and environment (`tests/bench/peers/run.py` puts it there): `common` is
the contest's module, `models` comes from PYTHONPATH. One core, one process, no threads.
"""

import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0])
from common import CH, PACED, Pacer, begin, end, latency, meta, note, np, np_batches, save_outputs

from models.fused.kernel import FusedKernel, Samples

ORDER = ["stream", "seq", "t", *CH]
STREAM, SEQ, T = 0, 1, 2


def samples_of(columns):
    return Samples(*(columns[name] for name in ORDER))


def warm():
    """Compile before the clock starts, as a service does once."""
    columns = [np.zeros(64, np.float32) for _ in ORDER]
    columns[STREAM] = np.zeros(64, np.int32)
    columns[SEQ] = np.arange(64, dtype=np.int32)
    columns[T] = np.arange(64, dtype=np.int64) * 10
    for count in (2, 2000):
        kernel = FusedKernel(count)
        kernel.handle(Samples(*columns))
        kernel.finish()


def main(name):
    about = meta(name)
    warm()
    begin()
    kernel = FusedKernel(about["streams"])
    windows, sprints = [], []
    pacer = Pacer(name) if PACED else None
    for columns in pacer.ticks() if pacer else np_batches(name):
        effects = kernel.handle(samples_of(columns))
        note(effects.windows)
        windows.append(effects.windows)
        sprints.append(effects.sprints)
    effects = kernel.finish()
    windows, sprints = [*windows, effects.windows], [*sprints, effects.sprints]
    windows, sprints = np.concatenate(windows), np.concatenate(sprints)
    end(events=about["events"], **(latency(pacer.t0) if pacer else {}))
    save_outputs(windows, sprints[:, :3])


if __name__ == "__main__":
    main(sys.argv[1])
