"""Folders of pictures: one folder per class, or a CSV of path and label beside them."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa

from gristmill.pipelines.base import ConfigError, InputError, Problem, side_by_side
from gristmill.pipelines.config import Csv, Data, Pictures
from gristmill.pipelines.ingestion.readers.delimited import Delimited
from gristmill.pipelines.ingestion.readers.dialect import sniff_csv
from gristmill.pipelines.ingestion.readers.faults import unreadable
from gristmill.pipelines.ingestion.readers.picture_files import (
    SUFFIXES,
    composed,
    empty_classes,
    has_pictures,
    is_picture,
    not_taken,
    pictures_below,
)
from gristmill.pipelines.ingestion.readers.picture_pixels import DeepPicture, Form, decoded
from gristmill.pipelines.ingestion.readers.picture_sizes import form_of, sizes_of
from gristmill.pipelines.ingestion.readers.table_form import header
from gristmill.pipelines.ingestion.readers.type_inference import (
    Again,
    Batches,
    RowStream,
    settle,
)

PICTURE, PATH, GIVEN_ROLE = "picture", "path", "given_role"
"""Columns of a table of pictures, besides the labels."""

ROLES = {
    **dict.fromkeys(("train", "training"), "training"),
    **dict.fromkeys(("valid", "validation", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""Names of folders, in upper or lower case, for the parts of a data set that is already split."""

BLOCK = 32 << 20
"""Bytes of pixels in memory at a time."""

FEWEST, PIECE = 16, 1024
"""Minimum and maximum number of files that a thread decodes at a time; fewer only if they are
large or the last ones."""

SHALLOW = "8 or 16 bits for each channel, or a declared range"

SHOWN = 20
"""Maximum number of pictures in an error."""


@dataclass(frozen=True)
class ListedPicture:
    """One picture: its path in the folder, its label, and its part if the data set has parts."""

    path: str
    label: Any
    role: str | None


def takes(folder: Path) -> bool:
    """Return whether there is a picture in the folder or its subfolders."""
    return has_pictures(folder)


def target_of(data: Data | None) -> str:
    """Return the name of the column of labels."""
    return data.target if data is not None else "label"


def label_columns(folder: Path) -> list[str]:
    """Return the columns of labels: those of the CSV, or `label` if folders name the classes."""
    table = _labels_table(folder)
    names = ["label"] if table is None else header(table, sniff_csv(table)).names
    return [name for name in names if name not in (PATH, GIVEN_ROLE)]


def _labels_table(folder: Path) -> Path | None:
    tables = [file for file in folder.glob("*.csv") if not file.name.startswith(".")]
    return tables[0] if len(tables) == 1 else None


def read(raw: Path, data: Data | None, not_numbers: Collection[str]) -> RowStream:
    """Read the pictures of a folder as rows, sorted by path, or in the order of the CSV.

    Columns are `path`, `picture` (height × width × channels bytes, row by row, with these numbers
    in the field's metadata), the target, and `given_role` if the folder has parts such as `train`
    and `test`.

    Raises:
        InputError: there are no pictures, damaged ones, or several sizes and none is declared.
        ConfigError: the CSV of labels lacks a column.
    """
    target, notes = target_of(data), list[str]()
    table = _labels_table(raw)
    if table is None:
        listed = _by_folders(raw, notes)
    else:
        listed = _by_table(raw, table, target, data.csv if data is not None else Csv(), notes)
    form = _form(raw, listed, data.pictures if data is not None else None)
    field = picture_field(form)
    columns = [pa.field(PATH, pa.string()), field, pa.field(target, _label_type(listed))]
    if any(one.role for one in listed):
        columns.append(pa.field(GIVEN_ROLE, pa.string()))
    schema = pa.schema(columns)
    return RowStream(schema, _batches(raw, listed, form, schema, notes), notes)


def read_unlabelled(raw: Path, declared: Pictures) -> RowStream:
    """Read the pictures of a folder and its subfolders, or a single one, as `path` and `picture`.

    Raises:
        InputError: there are no pictures, damaged ones, or a link out of the folder.
    """
    folder = raw if raw.is_dir() else raw.parent
    found = _pictures_in(raw, pictures_below(folder) if raw.is_dir() else [raw])
    paths = [file.relative_to(folder).as_posix() for file in found]
    listed = [ListedPicture(path, None, None) for path in paths]
    _require_inside(folder, listed)
    form = form_of(declared)
    schema = pa.schema([pa.field(PATH, pa.string()), picture_field(form)])
    table = _labels_table(folder)
    notes = not_taken(folder, [] if table is None else [table]) if raw.is_dir() else []
    return RowStream(schema, _batches(folder, listed, form, schema, notes), notes)


def listed_labels(folder: Path, target: str, csv: Csv) -> dict[str, Any] | None:
    """Return the label of each path in the CSV beside pictures; None if there is no such CSV."""
    table = _labels_table(folder)
    if table is None or not {PATH, target} <= {*header(table, sniff_csv(table, csv)).names}:
        return None
    rows = _read_labels(table, target, csv, [])
    return dict(
        zip(_on_disk(folder, rows[PATH].to_pylist()), rows[target].to_pylist(), strict=True)
    )


def folder_label(path: str) -> str:
    """Return the class that the folder of a picture names; empty if it is in none."""
    return str(_in_class(Path(path)).label)


def picture_field(form: Form) -> pa.Field:
    """Return the column of pixels, with its form in the metadata, as JSON without defaults."""
    usual = {one.name: one.default for one in fields(form)}
    unusual = {name: value for name, value in asdict(form).items() if value != usual[name]}
    metadata = {name: json.dumps(value) for name, value in unusual.items()}
    return pa.field(PICTURE, pa.binary(form.size), metadata=metadata)


def rows_in_a_block(form: Form | Pictures) -> int:
    """Return how many pictures of a form are in memory at a time."""
    return max(1, BLOCK // (form if isinstance(form, Form) else form_of(form)).size)


def _by_folders(folder: Path, notes: list[str]) -> list[ListedPicture]:
    """Return the pictures of the class folders; what is left out is noted."""
    found = _pictures_in(folder, [file for file in pictures_below(folder) if file.is_file()])
    listed = [_in_class(file.relative_to(folder)) for file in found]
    _require_inside(folder, listed)
    loose = [one.path for one in listed if not one.label]
    if loose:
        raise unreadable(
            folder,
            "one folder per class, or a CSV of path and label beside the pictures",
            f"{len(loose):,} pictures outside of any class folder, such as {loose[0]}",
        )
    notes += [*not_taken(folder), *empty_classes(folder)]
    return listed


def _pictures_in(raw: Path, found: Sequence[Path]) -> Sequence[Path]:
    if not any(is_picture(file) for file in found):
        raise unreadable(raw, "pictures (" + ", ".join(SUFFIXES) + ")", "none")
    return found


def _in_class(path: Path) -> ListedPicture:
    parts = path.parts[:-1]
    role = ROLES.get(parts[0].lower()) if len(parts) > 1 else None
    labels = parts[1:] if role else parts
    return ListedPicture(path.as_posix(), "/".join(labels), role)


def _by_table(
    folder: Path, table: Path, target: str, csv: Csv, notes: list[str]
) -> list[ListedPicture]:
    """Return the pictures that a CSV lists; what is left out is noted."""
    names = header(table, sniff_csv(table, csv)).names
    absent = [name for name in (PATH, target) if name not in names]
    if absent:
        raise ConfigError(
            f"{table.name} does not assign labels to pictures",
            expected=f"columns {PATH} and {target}",
            found=", ".join(names[:10]),
            next=f"rename the columns, or fix data.target, which is {target}",
        )
    rows = _read_labels(table, target, csv, notes)
    labels = rows[target].to_pylist()
    roles = rows[GIVEN_ROLE].to_pylist() if GIVEN_ROLE in names else [None] * len(labels)
    paths = _on_disk(folder, rows[PATH].to_pylist())
    listed = [ListedPicture(p, v, r) for p, v, r in zip(paths, labels, roles, strict=True)]
    _require_inside(folder, listed)
    rest = {*pictures_below(folder)} - {folder / path for path in paths}
    if rest:
        notes.append(f"{len(rest):,} pictures are not in {table.name}")
    notes += not_taken(folder, [table])
    return listed


def _read_labels(table: Path, target: str, csv: Csv, notes: list[str]) -> pa.Table:
    """Read the table of labels; they are numbers, or else text as written."""
    texts = (*(csv.text or ()), PATH, GIVEN_ROLE)
    rows = _whole(table, csv.model_copy(update={"text": texts}), found := list[str]())
    kind = rows.schema.field(target).type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        words = csv.missing if csv.missing is not None else ()
        written = csv.model_copy(update={"text": (*texts, target), "missing": words})
        rows = _whole(table, written, found := list[str]())
    notes += found
    return rows


def _whole(table: Path, csv: Csv, notes: list[str]) -> pa.Table:
    rows = settle(table, [Delimited(table, sniff_csv(table, csv))], ())
    while True:
        try:
            whole = pa.Table.from_batches(list(rows.batches), rows.schema)
        except Again as again:
            rows = again.rows
        else:
            notes += rows.notes
            return whole


def _on_disk(folder: Path, paths: Sequence[str | None]) -> list[str]:
    """Return paths as they are on disk: with / instead of \\, and in the Unicode form there."""
    wanted = [path or "" for path in paths]
    if all((folder / path).is_file() for path in wanted):
        return wanted
    found = (file.relative_to(folder).as_posix() for file in pictures_below(folder))
    known = {composed(path): path for path in found}
    plain = [composed(PurePosixPath(path.replace("\\", "/")).as_posix()) for path in wanted]
    return [
        path if (folder / path).is_file() else known.get(other, path)
        for path, other in zip(wanted, plain, strict=True)
    ]


def _require_inside(folder: Path, listed: Sequence[ListedPicture]) -> None:
    home = folder.resolve()
    wrong = [
        Problem(one.path, "a picture in the folder", what)
        for one in listed
        if (what := _elsewhere(home, folder / one.path))
    ]
    if wrong:
        raise InputError(
            f"{len(wrong):,} of the {len(listed):,} pictures of {folder.name} cannot be used",
            problems=wrong[:SHOWN],
            next="fix the folder at its source",
        )


def _elsewhere(home: Path, file: Path) -> str:
    if not file.resolve().is_relative_to(home):
        return "a path out of the folder"
    return "" if file.is_file() else "no file"


def _form(folder: Path, listed: Sequence[ListedPicture], declared: Pictures | None) -> Form:
    """Return the declared form, completed by the size of the pictures, which must be the same."""
    if declared is not None and declared.height is not None:
        return form_of(declared)
    sizes = sizes_of(folder / one.path for one in listed)
    if not sizes.counts:
        raise unreadable(folder, "pictures", f"{len(listed):,} files, none of them readable")
    ((height, width), _) = sizes.counts.most_common(1)[0]
    form = form_of(declared, height, width, sizes.channels)
    if len(sizes.counts) > 1:
        raise InputError(
            f"the pictures of {folder.name} have {len(sizes.counts):,} sizes",
            expected="one size, or a declared size to resize them to",
            found=f"{sizes}, height × width",
            next=f"data: {{pictures: {{height: {form.height}, width: {form.width}, channels: "
            f"{form.channels}}}}} in the experiment file",
        )
    return form


def _label_type(listed: Iterable[ListedPicture]) -> pa.DataType:
    kind = pa.array([one.label for one in listed]).type
    return pa.float64() if pa.types.is_floating(kind) else kind


def _batches(
    folder: Path,
    listed: Sequence[ListedPicture],
    form: Form,
    schema: pa.Schema,
    notes: list[str],
) -> Batches:
    threads = os.cpu_count() or 1  # Pillow releases Python's lock while it decodes
    share = max(FEWEST, len(listed) // (4 * threads))
    step = max(1, min(share, PIECE, rows_in_a_block(form) // threads))
    parts = (listed[start : start + step] for start in range(0, len(listed), step))
    wrong: list[Problem] = []
    deeds: Counter[str] = Counter()
    for part, made in side_by_side(
        parts, lambda part: [_decoded(folder, one, form) for one in part], threads
    ):
        wrong += [one for one in made if isinstance(one, Problem)]
        if not wrong:
            whole = [one for one in made if not isinstance(one, Problem)]
            deeds.update(deed for _, done in whole for deed in done)
            yield _batch(part, [pixels for pixels, _ in whole], schema)
    if wrong:
        deep = [one for one in wrong if one.expected == SHALLOW]
        raise InputError(
            f"{len(wrong):,} of the {len(listed):,} pictures of {folder.name} cannot be read",
            problems=wrong[:SHOWN],
            next="declare the values that become black and white, data: {pictures: {range: "
            "[LOW, HIGH]}}, or gristmill new … --pictures range=LOW,HIGH"
            if len(deep) == len(wrong)
            else "fix these files at their source, or remove them",
        )
    notes += [f"{n:,} picture{'s' * (n > 1)} {deed}" for deed, n in sorted(deeds.items())]


def _batch(
    part: Sequence[ListedPicture], pixels: Sequence[Any], schema: pa.Schema
) -> pa.RecordBatch:
    columns: list[Sequence[Any]] = [[one.path for one in part], pixels]
    if len(schema) > len(columns):
        columns.append([one.label for one in part])
    if GIVEN_ROLE in schema.names:
        columns.append([one.role for one in part])
    arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
    return pa.record_batch(arrays, schema=schema)


def _decoded(
    folder: Path, one: ListedPicture, form: Form
) -> tuple[bytes, tuple[str, ...]] | Problem:
    """Return the pixels and what was done to the picture; or why it cannot be read."""
    try:
        return decoded(folder / one.path, form)
    except DeepPicture as error:
        return Problem(one.path, SHALLOW, str(error))
    except (ValueError, OSError) as error:
        return Problem(one.path, "an undamaged picture", str(error))
