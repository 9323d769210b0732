"""The one door for arrays into compiled kernels: contiguous, and always seen as read-only.

numba compiles a function anew for each combination of array types, and read-only is part of the
type. Arrays from Ray and Arrow are read-only, fresh ones are not: without one form, the first
batch of the other sort would stall the live path for seconds. State arrays, which kernels write,
do not come here.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def frozen(array: NDArray[Any], dtype: Any = None) -> NDArray[Any]:
    """A C-contiguous read-only view of `array` (a copy only where layout or dtype demand it)."""
    flags = array.flags
    if not flags.writeable and flags.c_contiguous and (dtype is None or array.dtype == dtype):
        return array
    view = np.ascontiguousarray(array, dtype=dtype).view()
    view.flags.writeable = False
    return view
