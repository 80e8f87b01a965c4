"""`gristmill new`: from an uncleaned file to an experiment that runs."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, cast, get_args
from urllib.parse import urlsplit

import typer

from gristmill.commands.beginning import alone, put_back, require_free, same_bytes
from gristmill.commands.example import copy_example
from gristmill.commands.profile_lines import profile_lines
from gristmill.pipelines import config, ingestion, profiling, tables
from gristmill.pipelines.base import ConfigError, InputError, nearest, redact
from gristmill.pipelines.config import Project
from gristmill.pipelines.profiling import shell_word
from gristmill.pipelines.reporting import Screen
from gristmill.pipelines.validation.leaks import ORDERED

ARCHIVE = re.compile(r"(\.zip|\.tgz|\.tar(\.\w+)?)$", re.IGNORECASE)
ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:.+")

TEXTS = ("delimited", "multipart", "json_lines", "picture_folders")
"""Formats that are or contain text tables."""

SHOWN = 5
"""Columns named in a warning."""


@dataclass(frozen=True)
class Place:
    """Origin and destination of the data.

    Attributes:
        given: value of `--data`: an address, or a path relative to the project.
        path: destination in the project, below `data/`.
        source: `data.source` of the experiment file; None for files outside the project.
        there: whether the data are in the project already.
        query: SQL query, if the data come from a database.
    """

    given: str
    path: str
    source: str | None
    there: bool
    query: str | None = None

    @property
    def folder(self) -> str:
        return self.path.split("/")[1]


@dataclass(frozen=True)
class Asked:
    """The arguments of the command; `again` is the command to show in errors, without options."""

    name: str
    target: str | None
    task: profiling.Task | None
    csv: config.Csv
    pictures: config.Pictures
    again: str


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the experiment.")],
    data: Annotated[
        str | None, typer.Option("--data", metavar="FILE", help="A file, a folder or an address.")
    ] = None,
    target: Annotated[
        str | None, typer.Option("--target", metavar="COLUMN", help="The column to predict.")
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(help="classification or regression; default: inferred from the target."),
    ] = None,
    query: Annotated[
        str | None,
        typer.Option(metavar="SQL", help="SQL query, if --data is the address of a database."),
    ] = None,
    csv: Annotated[
        list[str] | None,
        typer.Option(
            "--csv",
            metavar="KEY=VALUE",
            help="Setting of a text table: header=none, quote=none, skip=3, text=COLUMN, …",
        ),
    ] = None,
    pictures: Annotated[
        list[str] | None,
        typer.Option(
            "--pictures",
            metavar="KEY=VALUE",
            help="Setting of pictures: channels=1, background=black, range=0,1, height=64, …",
        ),
    ] = None,
    example: Annotated[
        str | None, typer.Option("--example", metavar="NAME", help="Start from examples/NAME.yaml.")
    ] = None,
    origin: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="FOLDER", help="Folder of the example's data on this machine."
        ),
    ] = None,
) -> None:
    """Draft an experiment from a data file, or copy an example."""
    if task not in (None, *get_args(profiling.Task)):
        raise ConfigError(
            f"there is no task '{task}'",
            expected=" or ".join(get_args(profiling.Task)),
            found=f"--task {task}",
            next=f"--task {nearest(task or '', get_args(profiling.Task)) or 'classification'}",
        )
    if (data is None) == (example is None) or (example is None and origin is not None):
        raise ConfigError(
            "an experiment starts from data or with an example",
            expected="--data FILE [--target COLUMN], or --example NAME [--from FOLDER]",
            found="both" if data and example else "--from alone" if origin else "neither",
            next=f"gristmill new {name} --data FILE --target COLUMN",
        )
    if example is not None:
        copy_example(name, example, origin)
    elif data is not None:
        kind = cast("profiling.Task | None", task)
        draft(name, data, target, kind, query, csv or [], pictures or [])


def draft(
    name: str,
    data: str,
    target: str | None,
    task: profiling.Task | None,
    query: str | None = None,
    csv: Sequence[str] = (),
    pictures: Sequence[str] = (),
) -> None:
    """Read the data, draft the experiment, print the assumptions, and add both to the project.

    Args:
        name: name of the experiment.
        data: file, folder or address.
        target: column to predict; None lists the columns in the error.
        task: None infers it from the target.
        query: SQL query, required for a database and only for one.
        csv: settings of a text table, `KEY=VALUE`.
        pictures: settings of pictures, `KEY=VALUE`.

    Raises:
        GristmillError: any error; nothing is left behind.
    """
    declared = config.read_csv_options(csv), config.read_picture_options(pictures)
    project = Project.find()
    project.require_git()
    require_free(project, name)
    place = _place(project, name, data, query)
    again = f"gristmill new {name} --data {shell_word(data)}"
    if query is not None:
        again += f" --query {shell_word(query)}"
    again += "".join(f" --csv {shell_word(setting)}" for setting in csv)
    again += "".join(f" --pictures {shell_word(setting)}" for setting in pictures)
    screen = Screen()
    with alone(project) as aside:
        place, raw = _bring(project, place, aside, screen)
        made = _draft(Asked(name, target, task, *declared, again), place, raw, aside, screen)
        take_in(project, name, place, raw, aside)
    _say_end(screen, made)


def _place(project: Project, name: str, data: str, query: str | None) -> Place:
    if ADDRESS.fullmatch(data) and not Path(data).exists():
        database = config.source_kind(data, query) == "database"
        if urlsplit(data).password is not None or (database and config.holds_password(data)):
            raise ConfigError(
                "an address with a password would be stored in the experiment file",
                expected="the password in the environment",
                found=redact(data),
                next=f"{ingestion.PASSWORD}=… gristmill new …" if database else "",
            )
        _require_query(name, data, query)
        file = f"{name}.parquet" if query is not None else _file_of(data, name)
        return Place(data, f"data/{name}/{file}", data, False, query)
    _require_query(name, data, query)
    path = Path(data).expanduser().resolve()
    if not path.exists():
        near = nearest(path.name, (p.name for p in path.parent.glob("*")))
        raise ConfigError(
            "the data file does not exist",
            expected="a file, a folder or an address after --data",
            found=f"nothing at {data}",
            next=f"gristmill new {name} --data {shell_word(str(Path(data).with_name(near)))}"
            if near
            else "",
        )
    inside = path.relative_to(project.root.resolve()) if _within(project, path) else None
    if inside is not None and inside.parts[0] == "data" and len(inside.parts) > 2:
        return Place(inside.as_posix(), inside.as_posix(), None, True)
    source = inside.as_posix() if inside is not None else None
    return Place(str(path), f"data/{name}/{_plain(path.name, name)}", source, False)


def _require_query(name: str, data: str, query: str | None) -> None:
    """Raise ConfigError for a database without a query, or a query without a database."""
    if (config.source_kind(data, query) == "database") == (query is not None):
        return
    raise ConfigError(
        "a database needs a query, and other sources must have none",
        expected="--data postgresql+psycopg://user@host/name --query 'SELECT … ORDER BY …'",
        found="no --query" if query is None else f"--query for {redact(data)}",
        next=f"gristmill new {name} --data {shell_word(redact(data))}"
        + (" --query 'SELECT * FROM TABLE ORDER BY id'" if query is None else ""),
    )


def _within(project: Project, path: Path) -> bool:
    return path.is_relative_to(project.root.resolve())


def _file_of(address: str, name: str) -> str:
    """Return the file name for data from an address: that of the address, if it has one."""
    kind, _, rest = address.partition(":")
    if "://" in address:
        return _plain(urlsplit(address).path.rstrip("/").rpartition("/")[2], name)
    stem = rest if re.fullmatch(r"[\w-]+", rest) else name
    return f"{stem}.npz" if kind == "keras" else f"{stem}.csv"


def _plain(file: str, name: str) -> str:
    """Return the file's name if it is a plain one, else the experiment's with .csv."""
    fits = file and file.isprintable() and not file.startswith(".") and "\\" not in file
    return file if fits else f"{name}.csv"


def _bring(project: Project, place: Place, aside: Path, on: Screen) -> tuple[Place, Path]:
    """Return the place and the raw data, in the project or fetched to the temporary folder."""
    if place.there:
        if ingestion.data_state(project, place.folder) is ingestion.DataState.EDITED:
            raise _edited(place)
        return place, project.root / place.path
    _require_no_data(project, place, None)
    raw = aside / "data" / Path(place.path).name
    with on.turning("fetching …"):
        notes = ingestion.fetch(project, place.given, raw, query=place.query, progress=on.arriving)
    for note in notes:
        on.say(f"  ! {note}")
    if (ending := ARCHIVE.search(raw.name)) and ingestion.holds_several(raw):
        place = replace(place, path=place.path.removesuffix(ending[0]))
        packed, raw = raw, aside / "data" / Path(place.path).name
        ingestion.unpack(packed, raw, ingestion.DownloadMeter())
        packed.unlink()
    _require_no_data(project, place, raw)
    return place, raw


def _edited(place: Place) -> InputError:
    return InputError(
        f"data/{place.folder} was edited by hand",
        expected="the bytes that data.dvc pins",
        found="other bytes",
        next=f"cp {shell_word(place.path)} elsewhere, and --data elsewhere   to use it as new "
        "data\n"
        f"dvc checkout data/{place.folder}   to discard the edit",
    )


def _require_no_data(project: Project, place: Place, raw: Path | None) -> None:
    """Refuse to overwrite other data; an equal file is a leftover of a killed `new`."""
    folder = project.root / "data" / place.folder
    pinned = ingestion.data_state(project, place.folder) is ingestion.DataState.MISSING
    if not pinned and not (folder.is_dir() and any(folder.iterdir())):
        return
    there = project.root / place.path
    if not pinned and [*folder.iterdir()] == [there]:
        if raw is None or same_bytes(raw, there):
            return
        found = f"{place.path} with other content"
    else:
        found = "a pinned data set that is not on disk" if pinned else "other files"
    raise ConfigError(
        f"data/{place.folder} exists already, and `new` never overwrites",
        expected="no folder of that name, or the same file in it",
        found=found,
        next=f"gristmill new {place.folder}_2 …   to use another folder\n"
        f"gristmill new {place.folder} --data data/{place.folder}/FILE   to use the existing data",
    )


def _draft(asked: Asked, place: Place, raw: Path, aside: Path, screen: Screen) -> profiling.Draft:
    """Draft the experiment and write its files into the temporary folder `aside`."""
    kind = ingestion.find_format(raw).module
    csv, doubt = _dialect(raw, asked.csv) if kind == "delimited" else (asked.csv, False)
    for option, given, fits, what in (
        ("--csv", asked.csv != config.Csv(), kind in TEXTS, "text tables"),
        ("--pictures", asked.pictures != config.Pictures(), kind == TEXTS[-1], "picture files"),
    ):
        if given and not fits:
            raise ConfigError(
                f"{option} is for {what}",
                expected=f"{what} after --data",
                found=Path(place.path).name,
                next=re.sub(f" {option} .*", "", asked.again),
            )
    pictures = ingestion.fitting_form(raw, asked.pictures) if kind == "picture_folders" else None
    target = asked.target or _usual_target(raw, kind)
    table = aside / "table.parquet"
    described = config.Data(
        path=place.path,
        source=place.source,
        query=place.query,
        target=target or "?",
        task=asked.task or "regression",
        csv=csv,
        pictures=pictures[0] if pictures else None,
    )
    with screen.turning("reading …"):
        made = ingestion.ingest_file(raw, table, described)
    screen.say(f"{Path(place.path).name}: {made.size}")
    for note in made.notes:
        screen.say(f"  ! {note}")
    screen.say("")
    if target is None:
        screen.show(*profile_lines(whole := profiling.profile_table(table)))
        raise profiling.no_target(whole, asked.again)
    profiling.require_target(tables.column_names(table), target, asked.again)
    of_target = profiling.profile_table(table, only=[target]).column(target)
    chosen = profiling.require_task(
        of_target, asked.task, ingestion.PICTURE in tables.column_names(table)
    )
    with screen.turning("looking at the columns …"):
        profile = profiling.profile_table(table, target, chosen.task)
    assumptions = profiling.assume(profile, target, ingestion.index_columns(raw))
    draft = profiling.Draft(
        asked.name,
        place.path,
        place.source,
        csv,
        target,
        chosen,
        profile,
        assumptions,
        place.query,
        pictures,
        doubt,
    )
    if not draft.picture:
        order = profiling.row_order(table, profile, draft.used, target, chosen.task)
        draft = replace(draft, order=order)
    if draft.used:
        with screen.turning("looking for leaks …"):
            draft = _write(draft, table, aside)
    screen.show(*profile_lines(profile, draft.assumptions))
    if not draft.used:
        reasons = [f"{one.name}: {one.why}" for one in draft.left_out[:SHOWN]]
        raise ConfigError(
            "no column is left to learn from",
            expected="a usable feature",
            found="\n".join(reasons) + "\n…" * (len(draft.left_out) > SHOWN) if reasons else "none",
        )
    return draft


def _write(draft: profiling.Draft, table: Path, aside: Path) -> profiling.Draft:
    """Write the experiment file and the profile page into the temporary folder.

    Returns:
        The draft as written, without columns that are proven to reveal the target.
    """
    file = aside / "experiments" / f"{draft.name}.yaml"
    file.parent.mkdir()
    file.write_text(profiling.write_draft(draft), encoding="utf-8")
    document = config.load_experiment(Project(aside), draft.name).document
    draft = profiling.without_leaks(draft, table, document)
    file.write_text(profiling.write_draft(draft), encoding="utf-8")
    config.load_experiment(Project(aside), draft.name)  # an invalid draft must not be moved in
    profiled = profiling.Profiled(
        draft.name, table, draft.profile, draft.target, draft.task.task, draft.assumptions
    )
    profiling.write_page(aside / "profile.html", profiled)
    return draft


def _dialect(raw: Path, declared: config.Csv) -> tuple[config.Csv, bool]:
    """Return a text table's declared and unusual settings, and whether a thousands mark is assumed.

    If 1,234 is ambiguous, ingest leaves the column as text; here the comma is read as a thousands
    mark, with a warning.
    """
    found = ingestion.sniff_csv(raw, declared)
    settled = ingestion.sniff_csv(raw, found)  # now with the decimal point as declared
    usual = config.Csv(
        delimiter=",", quote='"', decimal=".", encoding="utf-8", missing=ingestion.MISSING
    )
    kept = {*declared.model_dump(exclude_none=True)}
    kept |= {key for key, value in settled.model_dump().items() if value != getattr(usual, key)}
    kept -= {"skip"} if declared.skip is None else set()  # found again in each file
    return config.Csv(**settled.model_dump(include=kept)), settled.thousands != found.thousands


def _usual_target(raw: Path, kind: str) -> str | None:
    """Return the default target of pictures and arrays."""
    if kind == "picture_folders":
        names = ingestion.label_columns(raw)
        return names[0] if len(names) == 1 else "label" if "label" in names else None
    return "label" if kind in ("array_files", "idx") else None


def take_in(project: Project, name: str, place: Place, raw: Path, aside: Path) -> None:
    """Move everything into the project: data, pin, page, `params.yaml`, and last the experiment.

    An error or Ctrl-C restores the earlier state. After a kill the same command works again: it
    finds its own data, and no experiment.

    Args:
        project: destination.
        name: name of the experiment.
        place: destination of the data.
        raw: the raw data; ignored if they are in place.
        aside: temporary folder with the experiment file and the page.
    """
    with ExitStack() as undo:
        for file in (project.root / ingestion.PIN, project.params_file):
            undo.callback(put_back, file, file.read_bytes() if file.exists() else None)
        if not place.there and not (project.root / place.path).exists():
            folder = project.root / "data" / place.folder
            undo.callback(shutil.rmtree, folder, ignore_errors=True)
            folder.parent.mkdir(exist_ok=True)
            if folder.is_dir():
                folder.rmdir()  # an empty one
            raw.parent.rename(folder)
        if ingestion.data_state(project, place.folder) is not ingestion.DataState.PINNED:
            ingestion.pin_data(project, place.folder)
        _move_page(project, name, place, aside, undo)
        project.register(name, place.folder)
        (aside / "experiments" / f"{name}.yaml").rename(project.experiment_file(name))
        undo.pop_all()


def _move_page(project: Project, name: str, place: Place, aside: Path, undo: ExitStack) -> None:
    page, build = aside / "profile.html", project.build(name)
    if not build.exists():
        undo.callback(shutil.rmtree, build, ignore_errors=True)
        build.mkdir()
    digest = ingestion.data_digest(project, place.folder)
    text = page.read_text(encoding="utf-8")
    page.write_text(
        text.replace('name="data" content=""', f'name="data" content="{digest}"', 1),
        encoding="utf-8",
    )
    page.replace(build / "profile.html")


def _say_end(screen: Screen, draft: profiling.Draft) -> None:
    task, features = draft.task, len(draft.used)
    of = "pictures" if draft.picture else f"{features} feature{'s' * (features != 1)}"
    screen.say(f"{task.task} of {draft.target} ({task.why}) from {of}")
    for line in _warnings(draft):
        screen.say(f"  ! {line}")
    screen.say(f"experiments/{draft.name}.yaml   edit it as needed")
    screen.say(f"build/{draft.name}/profile.html   profile of every column")
    if draft.stops:
        screen.say(f"  ! the run will stop: {draft.stops}")
        screen.say(f"next: edit experiments/{draft.name}.yaml, then gristmill run {draft.name}")
        for line in ORDERED:
            screen.say(f"      {line}")
    else:
        screen.say(f"next: gristmill run {draft.name}")


def _warnings(draft: profiling.Draft) -> Iterator[str]:
    target = draft.profile.column(draft.target)
    classes = dict(target.levels) if draft.task.task == "classification" else {}
    few = [f"{label} ({rows})" for label, rows in classes.items() if rows < profiling.FEW_ROWS]
    same = Counter(str(label).casefold() for label in classes)
    alike = [str(label) for label in classes if same[str(label).casefold()] > 1]
    if alike:
        yield f"classes that differ only in upper and lower case: {', '.join(alike[:6])}"
    if few:
        yield f"classes of fewer than {profiling.FEW_ROWS} rows: {', '.join(few[:6])}"
    if draft.uneven:
        yield f"the rarest class has {draft.rarest:.1%} of the rows: see training.class_weight"
    if draft.sequence:
        explains = f"the previous row explains {draft.sequence.share:.0%} of {draft.target}"
        yield f"{explains}: the newest rows by {draft.sequence.column} are for testing (split.time)"
    if draft.doubt:
        yield "numbers like 1,234 are read with a thousands mark; the file shows how to change this"
    for assumed in draft.left_out:
        if assumed.name in draft.leaks:
            keep = f"features: {{allow_leaks: [{assumed.name}]}} instead of its line in exclude"
            known = f"if it is known before {draft.target}: {keep}"
            reveals = f"{assumed.name} reveals {draft.target} and is left out"
            yield f"{reveals}: {assumed.why}; {known}"
        elif assumed.kind == "text":
            yield f"{assumed.name} is free text and left out; the file shows how to include it"
        if assumed.role == "group":
            yield f"rows of one {assumed.name} stay together in the split ({assumed.why})"
        if assumed.role == "given":
            yield f"{assumed.name}: {assumed.why} decide which rows are for testing"
    if draft.pictures and draft.pictures[1] != ingestion.ONE_SIZE:
        form, why = draft.pictures
        yield f"all are resized to {form.height} × {form.width}, {why}"
    strong = [c.name for c in draft.strong]
    if strong:
        more = f" and {len(strong) - SHOWN:,} more predict" if len(strong) > SHOWN else ""
        each = " predicts" if len(strong) == 1 else " each predict"
        named = ", ".join(strong[:SHOWN]) + (more or each)
        yield f"{named} the target almost alone: known at prediction time?"
