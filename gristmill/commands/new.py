"""`gristmill new`: from a file that nobody cleaned to an experiment that runs."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
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

ARCHIVE = re.compile(r"(\.zip|\.tgz|\.tar(\.\w+)?)$", re.IGNORECASE)
ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:.+")

SHOWN = 5
"""Columns that a warning names."""


@dataclass(frozen=True)
class Place:
    """Where the data come from and where they will be.

    Attributes:
        given: what stands after `--data`: an address, or a path as the project sees it.
        path: of the data in the project, below `data/`.
        source: for the experiment file; None for what is on this machine alone.
        there: whether they are in the project already.
        query: SQL, where they come from a database.
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
    """What was typed of the experiment; `again` is the command, to be completed by options."""

    name: str
    target: str | None
    task: profiling.Task | None
    again: str


def new(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="What the experiment shall be called.")
    ],
    data: Annotated[
        str | None, typer.Option("--data", metavar="FILE", help="A file, a folder or an address.")
    ] = None,
    target: Annotated[
        str | None, typer.Option("--target", metavar="COLUMN", help="The column to predict.")
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="classification or regression; default: by the target.")
    ] = None,
    query: Annotated[
        str | None,
        typer.Option(metavar="SQL", help="What to select, where --data is a database's address."),
    ] = None,
    example: Annotated[
        str | None, typer.Option("--example", metavar="NAME", help="Start from examples/NAME.yaml.")
    ] = None,
    origin: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="FOLDER", help="Where the example's data are on this machine."
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
            "an experiment begins with data or with an example",
            expected="--data FILE [--target COLUMN], or --example NAME [--from FOLDER]",
            found="both" if data and example else "--from alone" if origin else "neither",
            next=f"gristmill new {name} --data FILE --target COLUMN",
        )
    if example is not None:
        copy_example(name, example, origin)
    elif data is not None:
        draft(name, data, target, cast("profiling.Task | None", task), query)


def draft(
    name: str, data: str, target: str | None, task: profiling.Task | None, query: str | None = None
) -> None:
    """Reads the data, drafts the experiment, shows what was assumed, and takes both in.

    Raises:
        GristmillError: whatever is wrong; nothing is left behind.
    """
    project = Project.find()
    project.require_git()
    require_free(project, name)
    place = _place(project, name, data, query)
    again = f"gristmill new {name} --data {shell_word(data)}"
    if query is not None:
        again += f" --query {shell_word(query)}"
    screen = Screen()
    with alone(project) as aside:
        place, raw = _bring(project, place, aside, screen)
        made = _draft(Asked(name, target, task, again), place, raw, aside, screen)
        take_in(project, name, place, raw, aside)
    _say_end(screen, made)


def _place(project: Project, name: str, data: str, query: str | None) -> Place:
    if ADDRESS.fullmatch(data) and not Path(data).exists():
        database = config.source_kind(data, query) == "database"
        if urlsplit(data).password is not None or (database and config.holds_password(data)):
            raise ConfigError(
                "an address with a password would stand in the experiment file, for all to read",
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
            "the data file is not there",
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
    """Raises ConfigError unless a database has a query, and only a database."""
    if (config.source_kind(data, query) == "database") == (query is not None):
        return
    raise ConfigError(
        "a database needs a query, and nothing else has one",
        expected="--data postgresql+psycopg://user@host/name --query 'SELECT … ORDER BY …'",
        found="no --query" if query is None else f"--query for {redact(data)}",
        next=f"gristmill new {name} --data {shell_word(redact(data))}"
        + (" --query 'SELECT * FROM TABLE ORDER BY id'" if query is None else ""),
    )


def _within(project: Project, path: Path) -> bool:
    return path.is_relative_to(project.root.resolve())


def _file_of(address: str, name: str) -> str:
    """What the data of an address will be called: as there, where that is a file's name."""
    kind, _, rest = address.partition(":")
    if "://" in address:
        return _plain(urlsplit(address).path.rstrip("/").rpartition("/")[2], name)
    stem = rest if re.fullmatch(r"[\w-]+", rest) else name
    return f"{stem}.npz" if kind == "keras" else f"{stem}.csv"


def _plain(file: str, name: str) -> str:
    """The file's own name where it has a plain one, else the experiment's."""
    fits = file and file.isprintable() and not file.startswith(".") and "\\" not in file
    return file if fits else f"{name}.csv"


def _bring(project: Project, place: Place, aside: Path, on: Screen) -> tuple[Place, Path]:
    """The raw data, in the project already or fetched aside; and their place there."""
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
        found="others",
        next=f"cp {shell_word(place.path)} elsewhere, and --data elsewhere   takes it in as new "
        "data\n"
        f"dvc checkout data/{place.folder}   throws the edit away",
    )


def _require_no_data(project: Project, place: Place, raw: Path | None) -> None:
    """Other data of this name are never touched; the same file is what a killed `new` has left."""
    folder = project.root / "data" / place.folder
    pinned = ingestion.data_state(project, place.folder) is ingestion.DataState.MISSING
    if not pinned and not (folder.is_dir() and any(folder.iterdir())):
        return
    there = project.root / place.path
    if not pinned and [*folder.iterdir()] == [there]:
        if raw is None or same_bytes(raw, there):
            return
        found = f"{place.path}, with other content"
    else:
        found = "a data set that is pinned, but not on disk" if pinned else "other files"
    raise ConfigError(
        f"data/{place.folder} is there already, and `new` never overwrites",
        expected="no folder of that name, or the very same file in it",
        found=found,
        next=f"gristmill new {place.folder}_2 …   takes another folder\n"
        f"gristmill new {place.folder} --data data/{place.folder}/FILE   uses what is there",
    )


def _draft(asked: Asked, place: Place, raw: Path, aside: Path, screen: Screen) -> profiling.Draft:
    """Everything that will be moved in, in the folder aside."""
    kind = ingestion.find_format(raw).module
    csv, doubt = _dialect(raw) if kind == "delimited" else (config.Csv(), False)
    pictures = ingestion.fitting_form(raw) if kind == "picture_folders" else None
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
    screen.say(f"{Path(place.path).name}: {made}")
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
    assumptions = profiling.assume(profile, target)
    screen.show(*profile_lines(profile, assumptions))
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
    if not draft.used:
        raise ConfigError(
            "no column is left to learn from", expected="a feature", found="none of use"
        )
    _write(draft, table, aside)
    return draft


def _write(draft: profiling.Draft, table: Path, aside: Path) -> None:
    """Write the experiment file and the page into the folder aside."""
    (aside / "experiments").mkdir()
    (aside / "experiments" / f"{draft.name}.yaml").write_text(
        profiling.write_draft(draft), encoding="utf-8"
    )
    config.load_experiment(
        Project(aside), draft.name
    )  # a draft that does not load must not leave here
    profiled = profiling.Profiled(
        draft.name, table, draft.profile, draft.target, draft.task.task, draft.assumptions
    )
    profiling.write_page(aside / "profile.html", profiled)


def _dialect(raw: Path) -> tuple[config.Csv, bool]:
    """What is unusual about a text table, and whether its thousands marks are an assumption.

    Where 1,234 may be both, ingest leaves the column text; here it is taken for a thousand and
    more, and that is said.
    """
    found = ingestion.sniff_csv(raw)
    settled = ingestion.sniff_csv(raw, found)  # now with the decimal point as declared
    usual = config.Csv(
        delimiter=",", quote='"', decimal=".", encoding="utf-8", missing=ingestion.MISSING
    )
    unusual = {k: v for k, v in settled.model_dump().items() if v != getattr(usual, k)}
    return config.Csv(**unusual), settled.thousands != found.thousands


def _usual_target(raw: Path, kind: str) -> str | None:
    """What the labels of pictures and arrays are called where nobody says it."""
    if kind == "picture_folders":
        names = ingestion.label_columns(raw)
        return names[0] if len(names) == 1 else "label" if "label" in names else None
    return "label" if kind in ("array_files", "idx") else None


def take_in(project: Project, name: str, place: Place, raw: Path, aside: Path) -> None:
    """Moves everything in: the data, the pin, the page, `params.yaml`, and last the experiment.

    When anything fails, or on Ctrl-C, all is as before. Killed in between, the same command works:
    it finds its own data, and no experiment.
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
    of = "pictures" if draft.picture else f"{features} features"
    screen.say(f"{task.task} of {draft.target} ({task.why}) from {of}")
    for line in _warnings(draft):
        screen.say(f"  ! {line}")
    screen.say(f"experiments/{draft.name}.yaml   is yours to edit")
    screen.say(f"build/{draft.name}/profile.html   shows each column")
    screen.say(f"next: gristmill run {draft.name}")


def _warnings(draft: profiling.Draft) -> Iterator[str]:
    target = draft.profile.column(draft.target)
    classes = dict(target.levels) if draft.task.task == "classification" else {}
    few = [f"{label} ({rows})" for label, rows in classes.items() if rows < profiling.FEW_ROWS]
    if few:
        yield f"classes of fewer than {profiling.FEW_ROWS} rows: {', '.join(few[:6])}"
    if draft.uneven:
        yield f"the rarest class has {draft.rarest:.1%} of the rows: see training.class_weight"
    if draft.doubt:
        yield "numbers such as 1,234 are taken for a thousand and more; the file says how not to"
    for assumed in draft.left_out:
        if assumed.kind == "text":
            yield f"{assumed.name} is free text and left out; the file says how to take it in"
        if assumed.role == "group":
            yield f"rows of one {assumed.name} stay together in the split ({assumed.why})"
        if assumed.role == "given":
            yield f"{assumed.name}: {assumed.why} decide what is for testing"
    if draft.pictures and len(set(draft.pictures[1].split()) & {"median", "smaller,"}):
        form, why = draft.pictures
        yield f"all are brought to {form.height} × {form.width}, {why}"
    strong = [c.name for c in draft.strong]
    if strong:
        more = f" and {len(strong) - SHOWN:,} more tell" if len(strong) > SHOWN else ""
        each = " tells" if len(strong) == 1 else " each tell"
        named = ", ".join(strong[:SHOWN]) + (more or each)
        yield f"{named} the target nearly alone: known in time?"
