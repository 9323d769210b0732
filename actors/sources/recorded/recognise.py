"""What a file is, told from its first bytes: formats, and the metadata files that go with them.

A label is `<format>` for a file that holds samples, or `<format>.<part>` for one that describes
them. Names of files decide nothing; they only choose among candidates (`providers.py`).
"""

import re
from typing import Final

from actors.sources.recorded.blobs import Blob
from models.errors import SchemaError

# In order: the first row whose texts are all in the start of the file decides. White space is taken
# out of JSON first, so that one text fits compact and indented files.
_JSON: Final = (
    ("tracab", ('"FrameData":[',)), ("tracab.meta", ('"Phase1StartFrame"',)),
    ("tracab.meta", ('"PitchLongSide"',)),
    ("secondspectrum", ('"frameIdx":', '"gameClock"')),
    ("secondspectrum.extra", ('"fps":', '"homePlayers"', '"pitchLength"')),
    ("pff", ('"gameRefId":', '"frameNum"')), ("pff.roster", ('"positionGroupType"',)),
    ("pff.meta", ('"homeTeamKit":', '"stadium"')), ("signality.venue", ('"pitch_size":',)),
    ("signality.meta", ('"team_home_lineup"',)), ("signality", ('"utc_time":', '"phase":')),
    ("hawkeye", ('"samples":{"ball"',)), ("hawkeye", ('"samples":{"people"',)),
    ("hawkeye", ('"sequences":{', '"match-minute"')),
    ("debs2013.meta", ('"balls":[', '"players":[', '"feet":[')),
    ("hawkeye.meta", ('"KickOffTime"', '"Stadium"')), ("statsperform.meta", ('"matchInfo":',)),
    ("skillcorner.meta", ('"home_team_kit"',)), ("skillcorner.meta", ('"pitch_length"',)),
    ("skillcorner.meta", ('"referees":', '"trackable_object"', '"date_time"')),
    ("skillcorner", ('"frame":', '"player_data":')),
    ("skillcorner", ('"frame":', '"data":[', '"possession"')),
)
_XML: Final = (
    ("tcx", ("<TrainingCenterDatabase",)), ("epts.meta", ("FIFADataTransferFormatEPTS",)),
    ("sportec", ("<Positions",)), ("sportec", ("<FrameSet",)),
    ("sportec.meta", ("<MatchInformation",)), ("statsperform.meta", ("<matchInfo",)),
    ("tracab.meta", ("<TracabMetaData",)), ("tracab.meta", ("<OptaMetaData",)),
    ("tracab.meta", ("<Phase1StartFrame",)),
    ("secondspectrum.meta", ("<MetaData", "<match", "fPitchXSizeMeters")),
    ("hawkeye.meta", ("<Match>", "<kickOffTime>")),
)
_NUMBER: Final = r"-?(\d+(\.\d+)?|NaN)?"
_TEXT: Final = (
    ("tracab", r"\A\d+:(-?\d+,){5}-?[\d.]+;"),
    ("statsperform", r"\A\d{10,13};\d+,\d+,\d+:"),
    ("epts", rf"\A\d+:{_NUMBER},{_NUMBER}[,;]"),
    ("metrica", r"\A,+(Home|Away),"),
    ("debs2013", r"\A\d{1,4},\d{12,18}(,-?\d+){11}\r?(\n|\Z)"),
)
SAMPLES: Final = (
    "fit", "tcx", "parquet", "arrow", "tracab", "secondspectrum", "pff", "signality", "hawkeye",
    "skillcorner", "sportec", "statsperform", "epts", "metrica",
    "debs2013", "csv",
)


def label_of(blob: Blob) -> str:
    """The label of a file; "" when it is none that is known (or cannot be read)."""
    try:
        head = blob.head()
    except SchemaError:
        return ""
    return label_of_head(head)


def label_of_head(head: bytes) -> str:
    """The label that belongs to a file that starts with `head`."""
    if head[:4] == b"PAR1":
        return "parquet"
    if head[:6] == b"ARROW1" or head[:4] == b"\xff\xff\xff\xff":
        return "arrow"
    if head[8:12] == b".FIT":
        return "fit"
    if b"\0" in head[:4096]:
        return ""
    text = head.decode("utf-8-sig", "replace")
    start = text.lstrip()[:1]
    if start in ("{", "["):
        return _first(_JSON, re.sub(r"\s+", "", text))
    if start == "<":
        return _first(_XML, text)
    for label, pattern in _TEXT:
        if re.search(pattern, text):
            return label
    return "csv" if _is_csv(text) else ""


def _first(rows: tuple[tuple[str, tuple[str, ...]], ...], text: str) -> str:
    return next((label for label, texts in rows if all(one in text for one in texts)), "")


def _is_csv(text: str) -> bool:
    """Two lines or more: names with a delimiter, then something with a digit."""
    lines = text.split("\n", 2)
    named = any(c in lines[0] for c in ",;\t") and any(c.isalpha() for c in lines[0])
    return len(lines) > 1 and named and any(c.isdigit() for c in lines[1])
