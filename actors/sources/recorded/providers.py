"""Vendors' tracking formats, loaded with kloppy: which files belong together, and the calls.

The metadata of a sample file is one of the files given for it, or one beside it with the right
label (`recognise.py`). Among several, the one whose name is most like the sample file's is tried
first. Files are read whole.
"""

import warnings
from collections.abc import Callable, Iterator
from itertools import product, takewhile
from typing import Any, Final

from actors.sources.recorded.blobs import Blob
from actors.sources.recorded.recording import Recording
from actors.sources.recorded.tracking import COORDINATES, recording_of
from models.errors import SchemaError

MAX_TRIES: Final = 12
_FORMATS: Final[dict[str, tuple[str, ...]]] = {
    "tracab": ("tracab.meta",), "epts": ("epts.meta",), "sportec": ("sportec.meta",),
    "skillcorner": ("skillcorner.meta",), "secondspectrum": ("secondspectrum.meta",),
    "statsperform": ("statsperform.meta",), "signality": ("signality.meta", "signality.venue"),
    "pff": ("pff.meta", "pff.roster"), "metrica": (),
}
"""Which parts a format needs beside its samples."""
_EXPECTED: Final = {
    "tracab": "TRACAB metadata (.xml or .json with pitch size and phases)",
    "epts": "a FIFA EPTS metadata .xml", "sportec": "a Sportec match information .xml",
    "skillcorner": "a SkillCorner match .json", "secondspectrum": "a Second Spectrum metadata .xml",
    "statsperform": "a Stats Perform MA1 .json or .xml",
    "signality": "Signality match metadata and venue information .json",
    "pff": "PFF metadata and rosters .json", "metrica": "the other team's Metrica .csv",
}


def is_tracking(label: str) -> bool:
    return label in _FORMATS


def read_tracking(
    label: str, samples: list[Blob], beside: dict[str, list[Blob]], name: str
) -> Recording:
    """The recording in sample files of one format; `beside` are other files by label.

    Raises SchemaError saying which file is missing, or the decoder's own reason.
    """
    parts = [_likely(samples[0], beside.get(part, [])) for part in _FORMATS[label]]
    if not all(parts):
        raise SchemaError("wrong_format", f"{samples[0].name}: expected {_EXPECTED[label]} with it")
    reasons = []
    for _, chosen in zip(range(MAX_TRIES), product(*parts), strict=False):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                dataset = _LOADERS[label](samples, list(chosen), beside)
            return recording_of(dataset, label, name)
        except SchemaError as error:
            reasons.append(str(error))
        except Exception as error:
            # The decoder is fed foreign bytes and raises whatever they lead it to.
            reasons.append(f"{type(error).__name__}: {error}")
    raise SchemaError("decoder", f"{samples[0].name} as {label}: {reasons[0][:300]}")


def _likely(blob: Blob, candidates: list[Blob]) -> list[Blob]:
    """Candidates by likeness of name to `blob`: shared start first, then shared words."""
    words = set(_words(blob.name))

    def likeness(other: Blob) -> tuple[int, int]:
        pairs = zip(blob.name, other.name, strict=False)
        start = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        return len(words & set(_words(other.name))), start

    return sorted(candidates, key=likeness, reverse=True)


def _words(name: str) -> Iterator[str]:
    for word in name.lower().replace("-", "_").replace(".", "_").split("_"):
        if word:
            yield word


def _tracab(samples: list[Blob], parts: list[Blob], _: dict[str, list[Blob]]) -> Any:
    from kloppy import tracab

    # kloppy tells the two layouts apart by the first byte of each file.
    return tracab.load(
        meta_data=parts[0].read(), raw_data=samples[0].read(), coordinates=COORDINATES
    )


def _epts(samples: list[Blob], parts: list[Blob], _: dict[str, list[Blob]]) -> Any:
    from kloppy import metrica

    return metrica.load_tracking_epts(
        meta_data=parts[0].read(), raw_data=samples[0].read(), coordinates=COORDINATES
    )


def _sportec(samples: list[Blob], parts: list[Blob], _: dict[str, list[Blob]]) -> Any:
    from kloppy import sportec

    return sportec.load_tracking(
        meta_data=parts[0].read(), raw_data=samples[0].read(), coordinates=COORDINATES
    )


def _skillcorner(samples: list[Blob], parts: list[Blob], _: dict[str, list[Blob]]) -> Any:
    from kloppy import skillcorner

    return skillcorner.load(
        meta_data=parts[0].read(), raw_data=samples[0].read(), coordinates=COORDINATES
    )


def _secondspectrum(
    samples: list[Blob], parts: list[Blob], beside: dict[str, list[Blob]]
) -> Any:
    from kloppy import secondspectrum

    extra = _likely(samples[0], beside.get("secondspectrum.extra", []))
    return secondspectrum.load(
        meta_data=parts[0].read(), raw_data=samples[0].read(),
        additional_meta_data=extra[0].read() if extra else None, coordinates=COORDINATES,
    )


def _statsperform(samples: list[Blob], parts: list[Blob], _: dict[str, list[Blob]]) -> Any:
    from kloppy import statsperform

    return statsperform.load_tracking(
        ma1_data=parts[0].read(), ma25_data=samples[0].read(),
        coordinates=COORDINATES,
    )


def _signality(samples: list[Blob], parts: list[Blob], _: dict[str, list[Blob]]) -> Any:
    from kloppy import signality

    return signality.load(
        meta_data=parts[0].read(), venue_information=parts[1].read(),
        raw_data_feeds=[blob.read() for blob in sorted(samples, key=lambda blob: blob.name)],
        coordinates=COORDINATES,
    )


def _pff(samples: list[Blob], parts: list[Blob], _: dict[str, list[Blob]]) -> Any:
    from kloppy import pff

    return pff.load_tracking(
        meta_data=parts[0].read(), roster_meta_data=parts[1].read(), raw_data=samples[0].read(),
        coordinates=COORDINATES,
    )


def _metrica(samples: list[Blob], _: list[Blob], beside: dict[str, list[Blob]]) -> Any:
    from kloppy import metrica

    sides: dict[bytes, bytes] = {}
    for blob in [*samples, *_likely(samples[0], beside.get("metrica", []))]:
        payload = blob.read()
        side = b"Home" if b"Home" in payload[:200] else b"Away"
        sides.setdefault(side, payload)
    if len(sides) < 2:
        raise SchemaError("wrong_format", f"expected {_EXPECTED['metrica']} with it")
    return metrica.load_tracking_csv(
        home_data=sides[b"Home"], away_data=sides[b"Away"], coordinates=COORDINATES
    )


_LOADERS: Final[dict[str, Callable[[list[Blob], list[Blob], dict[str, list[Blob]]], Any]]] = {
    "tracab": _tracab, "epts": _epts, "sportec": _sportec, "skillcorner": _skillcorner,
    "secondspectrum": _secondspectrum, "statsperform": _statsperform, "signality": _signality,
    "pff": _pff, "metrica": _metrica,
}
