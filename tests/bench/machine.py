"""What figures were measured on."""

import os
import platform
from typing import Any


def machine() -> dict[str, Any]:
    """As JSON values; `load_before`: what else ran when it was asked."""
    return {
        "cores": len(os.sched_getaffinity(0)), "python": platform.python_version(),
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "processor": platform.machine(), "load_before": os.getloadavg()[0],
    }
