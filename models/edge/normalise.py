"""Normalisation: what is special to a device model becomes canonical (DOMAIN D1).

Owns axis maps, acceleration units and corner origins, as `Mount` entries of the configuration; the
pitch's size is data of the roster. Rows of devices without a mount pass untouched.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.edge.config import EdgeConfig, Mount
from models.telemetry.block import SampleBlock
from models.telemetry.kinds import KINDS
from models.telemetry.roster import Roster

_TRIADS: Final = (
    ("acc_x_mps2", "acc_y_mps2", "acc_z_mps2"), ("gyr_x_radps", "gyr_y_radps", "gyr_z_radps"),
    ("mag_x_ut", "mag_y_ut", "mag_z_ut"),
)


class Normaliser:
    """Per roster device: which mount it has."""

    def __init__(self, roster: Roster, config: EdgeConfig) -> None:
        number = {mount.model: n for n, mount in enumerate(config.mounts)}
        self._mounts = config.mounts
        self._mount_of = np.array(
            [number.get(device.model, -1) for device in roster.devices] + [-1], np.int64
        )
        self._corner_m = (0.5 * roster.pitch_length_m, 0.5 * roster.pitch_width_m)
        self._any = bool((self._mount_of >= 0).any())

    def canonical(self, block: SampleBlock) -> NDArray[np.float32]:
        """The channels of `block` in canonical units and frame; a copy where anything changes."""
        if not self._any or not len(block):
            return block.values
        known = (block.device >= 0) & (block.device < len(self._mount_of) - 1)
        mounted = self._mount_of[np.where(known, block.device, -1)]
        values = block.values
        for n in np.unique(mounted[mounted >= 0]).tolist():
            if values is block.values:
                values = np.array(block.values)
            self._apply(self._mounts[n], KINDS[block.kind].names, mounted == n, values)
        return values

    def _apply(
        self, mount: Mount, names: tuple[str, ...], rows: NDArray[np.bool_],
        values: NDArray[np.float32],
    ) -> None:
        for triad in _TRIADS:
            if triad[0] in names:
                at = names.index(triad[0])
                gain = mount.scale if triad is _TRIADS[0] else 1.0
                source = values[at : at + 3, rows]
                for axis, origin in enumerate(mount.axes):
                    sign = gain if origin > 0 else -gain
                    values[at + axis, rows] = np.float32(sign) * source[abs(origin) - 1]
        if mount.origin == "corner" and "pos_x_m" in names:
            for name, shift_m in zip(("pos_x_m", "pos_y_m"), self._corner_m, strict=True):
                values[names.index(name), rows] -= np.float32(shift_m)
