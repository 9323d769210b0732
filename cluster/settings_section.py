"""The base of every section of the settings: frozen, and no key that it does not know."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Infinite and undefined numbers are refused too."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
