"""Recorded files as canonical rows: `open_recording(path)` recognises the format and reads it.

Formats: canonical Parquet and Arrow, CSV and Parquet by a column mapping, optical and radio
tracking formats of the vendors, FIT and TCX sessions. `recognise.py` says how each is told.
"""

from actors.sources.recorded.mapping import Mapping, read_mapping
from actors.sources.recorded.open import open_recording
from actors.sources.recorded.recording import Recording

__all__ = ["Mapping", "Recording", "open_recording", "read_mapping"]
