"""Net: a torch module that answers numpy arrays with numpy arrays, thread-safe.

Owns the border between numpy and torch: shape and value checks, no gradients, evaluation mode. The
number of torch threads is the business of whoever composes the process.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from models.errors import ModelError
from models.nets.contract import INPUT_SHAPES, OUTPUT_NAMES


class Net:
    """One loaded net. `version` is the sha256 of its weights, `card` what its training recorded."""

    def __init__(
        self, name: str, module: torch.nn.Module, version: str, card: dict[str, float]
    ) -> None:
        self.name, self.version, self.card = name, version, card
        self._module = module.eval().requires_grad_(False)

    def predict(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """(B, *INPUT_SHAPES[name]) -> (B, len(OUTPUT_NAMES[name])) float32; B may be 0.

        Raises ModelError when the shape is wrong or the net gives values that are not finite.
        """
        wanted = INPUT_SHAPES[self.name]
        if inputs.shape[1:] != wanted:
            raise ModelError(f"{self.name}: input is {inputs.shape}, not (B, {wanted})")
        if not len(inputs):
            return np.empty((0, len(OUTPUT_NAMES[self.name])), np.float32)
        # A copy: torch refuses to wrap the read-only views that come out of shared memory.
        batch = torch.from_numpy(np.array(inputs, np.float32, order="C"))
        with torch.inference_mode():
            answer: NDArray[np.float32] = self._module(batch).numpy()
        if not np.isfinite(answer).all():
            raise ModelError(f"{self.name}: the answer is not finite")
        return answer
