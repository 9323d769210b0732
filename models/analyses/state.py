"""What all analyses share: their state as bytes and back."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from numpy.typing import NDArray

from models.errors import SchemaError
from models.state_bytes import fill, pack_state, unpack_state


class Analysis(ABC):
    """`name` is what a user calls it by; the state is in arrays that never change their size."""

    name: ClassVar[str]

    @abstractmethod
    def _arrays(self) -> dict[str, NDArray[Any]]:
        """Everything that `handle` remembers."""

    def snapshot(self) -> bytes:
        """Everything that `handle` remembers."""
        return pack_state({"name": self.name}, self._arrays())

    def restore(self, payload: bytes) -> None:
        """Take over a snapshot of the same roster. Raises SchemaError."""
        scalars, found = unpack_state(payload)
        if scalars.get("name") != self.name:
            raise SchemaError("unknown_version", f"state of another than {self.name}")
        fill(self._arrays(), found)
