"""open_recording: finds out what a path holds and gives it to the reader of that format."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from actors.sources.recorded.blobs import Blob, blobs_at
from actors.sources.recorded.canonical import FIXED, read_canonical
from actors.sources.recorded.debs import read_debs
from actors.sources.recorded.hawkeye import read_hawkeye
from actors.sources.recorded.mapped import read_mapped
from actors.sources.recorded.mapping import Mapping
from actors.sources.recorded.named import mapping_for
from actors.sources.recorded.providers import is_tracking, read_tracking
from actors.sources.recorded.recognise import SAMPLES, label_of
from actors.sources.recorded.recording import Recording
from actors.sources.recorded.tables import columns_of
from actors.sources.recorded.workouts import read_workouts
from models.errors import SchemaError

_MANY: Final = ("fit", "tcx", "signality", "hawkeye", "metrica")
"""Formats of which one recording is made of several sample files."""
_OWN: Final = ("hawkeye", "debs2013")
"""Tracking formats with a reader of ours."""
_KNOWN: Final = (
    "canonical Parquet or Arrow, CSV or Parquet with a mapping, TRACAB, FIFA EPTS, Sportec, "
    "SkillCorner, Second Spectrum, Hawk-Eye, Stats Perform, Signality, PFF, Metrica CSV, "
    "DEBS 2013 raw records, FIT, TCX"
)


def open_recording(
    path: Path, mapping: Mapping | None = None, meta: Sequence[Path] = ()
) -> Recording:
    """The recording at `path`: a file, a folder, or either inside gzip or zip.

    mapping   how to read a CSV or Parquet table that is not recognised by its columns
    meta      metadata files, where they do not lie beside the samples

    Raises SchemaError naming what was expected when nothing there can be read; what can only be
    read in part is in `Recording.refusals`.
    """
    blobs = blobs_at(path)
    given = [blob for file in meta for blob in blobs_at(file)]
    labels: dict[str, list[Blob]] = {}
    for blob in blobs:
        labels.setdefault(_label(blob, mapping), []).append(blob)
    tables = [*labels.get("parquet", []), *labels.get("arrow", [])]
    canonical = [blob for blob in tables if mapping is None and _is_canonical(blob)]
    if canonical:
        return read_canonical(canonical, path)
    found = [label for label in SAMPLES if label in labels]
    if not found:
        raise SchemaError("wrong_format", f"{path.name}: expected {_KNOWN}; {_seen(blobs)}")
    workouts = [*labels.get("fit", []), *labels.get("tcx", [])]
    if workouts:
        # A damaged session is no longer recognised as one; it is tried by its name all the same.
        lost = [b for b in labels.get("", []) if b.name.lower().endswith((".fit", ".tcx"))]
        return read_workouts(sorted([*workouts, *lost], key=lambda b: b.name), _session, path.stem)
    vendor: list[str] = [label for label in found if is_tracking(label) or label in _OWN]
    if vendor:
        return _read_vendor(path, vendor, labels, given)
    return _read_table(path, [*labels.get("csv", []), *labels.get("parquet", [])], mapping)


def _label(blob: Blob, mapping: Mapping | None) -> str:
    label = label_of(blob)
    if mapping is not None and label not in ("parquet", "arrow"):
        return "csv"
    return label


def _session(blob: Blob) -> str:
    label = label_of(blob)
    return label or ("tcx" if blob.name.lower().endswith(".tcx") else "fit")


def _is_canonical(blob: Blob) -> bool:
    return label_of(blob) == "arrow" or columns_of(blob) >= FIXED


def _seen(blobs: list[Blob]) -> str:
    if len(blobs) == 1:
        label = label_of(blobs[0])
        if label:
            return f"this is {label}: name the file with the samples"
        head = blobs[0].head(16)
        return f"it starts with {head!r}" if head else "it is empty"
    return f"none of its {len(blobs)} files is one of these"


def _read_vendor(
    path: Path, vendor: list[str], labels: dict[str, list[Blob]], given: list[Blob]
) -> Recording:
    label = vendor[0]
    samples = labels[label]
    if len(vendor) > 1 or (len(samples) > 1 and label not in _MANY):
        names = sorted(blob.name for one in vendor for blob in labels[one])
        raise SchemaError(
            "wrong_format", f"{path.name} holds several recordings, name one: {names[:20]}"
        )
    beside: dict[str, list[Blob]] = {}
    for blob in [*given, *_neighbours(path, samples)]:
        found = label_of(blob)
        if found and blob not in beside.setdefault(found, []):
            beside[found].append(blob)
    if given:
        # What was named comes alone: a neighbour with a likelier name must not win over it.
        for named in {label_of(blob) for blob in given} - {label}:
            beside[named] = [blob for blob in given if label_of(blob) == named]
    if label == "hawkeye":
        return read_hawkeye(samples, beside.get("hawkeye.meta", []), path.stem)
    if label == "debs2013":
        return read_debs(samples[0], beside.get("debs2013.meta", []))
    return read_tracking(label, samples, beside, path.name.split(".")[0])


def _neighbours(path: Path, samples: list[Blob]) -> list[Blob]:
    if samples[0].member or path.is_dir():
        return blobs_at(path)
    siblings = sorted(file for file in path.parent.iterdir() if file.is_file())
    return [blob for file in siblings if file != path for blob in [
        Blob(file, file.name.removesuffix(".gz"))
    ]]


def _read_table(path: Path, tables: list[Blob], mapping: Mapping | None) -> Recording:
    chosen = []
    for blob in tables:
        use = mapping or mapping_for(columns_of(blob))
        if use is not None:
            chosen.append((blob, use))
    if not chosen:
        columns = sorted(columns_of(tables[0]))[:20] if tables else []
        raise SchemaError(
            "wrong_format",
            f"{path.name}: expected columns that are known or a mapping; it has {columns}",
        )
    if len(chosen) > 1:
        names = [blob.name for blob, _ in chosen]
        raise SchemaError(
            "wrong_format", f"{path.name} holds several recordings, name one: {names[:20]}"
        )
    return read_mapped(*chosen[0])
