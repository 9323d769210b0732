"""Keeps pandas out of a process that makes Arrow arrays and never a data frame.

pyarrow imports pandas with the first array that it makes, only to tell whether it was given one of
pandas' own: a quarter of a second of CPU and 40 MB in each actor, in the midst of its recovery. It
asks once and remembers the answer.
"""

import sys
from importlib.abc import MetaPathFinder

import pyarrow as pa


def spare_pandas() -> None:
    """In a process that Ray started for an actor: from now on pyarrow knows no pandas there.

    `import pandas` itself goes on to work. Elsewhere, and where pandas is there already, nothing is
    done: whoever shares the process may convert. Harmless twice.
    """
    if "pandas" not in sys.modules and in_actor():
        hide_pandas()


def hide_pandas() -> None:
    """Have pyarrow ask for pandas now, and find none."""
    absent = _Absent()
    sys.meta_path.insert(0, absent)
    try:
        pa.array([0])
    finally:
        sys.meta_path.remove(absent)


class _Absent(MetaPathFinder):
    """Answers for every module finder after it that there is no pandas."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError(f"{fullname} is kept out of this process", name=fullname)


def in_actor() -> bool:
    """Whether this process was started by Ray for an actor."""
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return False
    return ray.get_runtime_context().get_actor_id() is not None
