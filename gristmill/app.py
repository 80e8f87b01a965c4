"""The command line: `gristmill`. The module of a command is imported when it is called."""

from __future__ import annotations

import errno
import gc
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple, NoReturn

import typer
from typer.core import TyperCommand

from gristmill.commands.endings import INTERRUPTED, is_ctrl_c, leave


class Entry(NamedTuple):
    """A command: where its function is, and the first line of its docstring."""

    place: str
    help: str
    hidden: bool = False


GROUPS = {
    "": "From a data set and one YAML file to a registered, promotable model, every night.",
    "data": "The data set behind an experiment: pinned, restored, renewed.",
    "runs": "What was run: listed, its log, ended, cleared away.",
    "config": "The experiment file: resolved, and its schema.",
}

COMMANDS = {
    "run": Entry(
        "run:run", "Train, search, evaluate, register. Does nothing when nothing has changed."
    ),
    "new": Entry("new:new", "Draft an experiment from a data file, or copy an example."),
    "plan": Entry(
        "plan:plan", "Show what a run would do, step by step and trial by trial, and why."
    ),
    "stage": Entry("stage:stage", "Carry out one data stage; this is what dvc.yaml calls."),
    "score": Entry("score:score", "Predict the rows of a file with the champion."),
    "check": Entry(
        "check:check",
        "Find out whether new rows have drifted from those of the champion; then exit code 5.",
    ),
    "serve": Entry(
        "serve:serve",
        "Answer requests with a registered model, in MLflow's scoring protocol, until Ctrl-C.",
    ),
    "models": Entry("models:models", "List registered models, versions, aliases and scores."),
    "compare": Entry(
        "compare:compare",
        "Compare models on the test rows that all have answered, each with the first.",
    ),
    "promote": Entry("models:promote", "Make a version the champion, whatever the gate said."),
    "rollback": Entry("models:rollback", "Go back to the champion before this one."),
    "reject": Entry(
        "models:reject",
        "Say that a version shall not be champion; promoting it takes a reason then.",
    ),
    "archive": Entry("models:archive", "Put a version away; it stays in the registry."),
    "reproduce": Entry(
        "reproduce:reproduce",
        "Train a registered model again, aside, and compare the weights bit for bit.",
    ),
    "retrain": Entry(
        "reproduce_worker:retrain",
        "Train what a record says in this folder; this is what `reproduce` calls.",
        hidden=True,
    ),
    "probe": Entry(
        "bisect_worker:probe",
        "Run an experiment and write what it measured; this is what `data bisect` calls.",
        hidden=True,
    ),
    "up": Entry("up:up", "Serve both UIs and run every experiment's schedule, until Ctrl-C."),
    "doctor": Entry("doctor:doctor", "Find out what is wrong with the set-up."),
    "data status": Entry("data:status", "Compare the data sets on disk with the pin."),
    "data restore": Entry(
        "data:restore",
        "Bring the pinned bytes back; edits by hand of the named data set are thrown away.",
    ),
    "data refresh": Entry(
        "data:refresh", "Take in new data on purpose: fetched and validated aside, then pinned."
    ),
    "data log": Entry(
        "data:log",
        "List the versions of the data: commit, rows, hash, and the models trained on each.",
    ),
    "data use": Entry(
        "data:use", "Go back to a version of one data set; the others stay as they are."
    ),
    "data who-used": Entry(
        "who_used:who_used", "List every run and model that came from a version of the data."
    ),
    "data bisect": Entry(
        "bisect:bisect", "Find the version of the data that lost a metric, in few trainings."
    ),
    "data formats": Entry(
        "data:formats", "List what a data set may be, and where it may come from."
    ),
    "data merge": Entry(
        "merge:merge",
        "Merge data.dvc, dvc.lock or params.yaml; this is what git calls.",
        hidden=True,
    ),
    "runs list": Entry("runs:show", "List the newest runs: when, trials, decision, objective."),
    "runs logs": Entry("runs:logs", "Print what a run said."),
    "runs cancel": Entry(
        "runs:cancel", "End a run of another process on this machine, as Ctrl-C there would."
    ),
    "runs gc": Entry("gc:collect", "Remove what no registered model and no newer run needs."),
    "config show": Entry("config:show", "Print the experiment with every default filled in."),
    "config schema": Entry(
        "config:print_schema", "Print the JSON Schema of experiment files, for editors."
    ),
}


class LazyCommand(TyperCommand):
    """A command of which only the help is known until it is called."""

    place: ClassVar[str]

    def make_context(self, info_name: str | None, args: list[str], *more: Any, **extra: Any) -> Any:
        """Import the command's module, and begin the command that is there."""
        module, function = self.place.split(":")
        typed = getattr(import_module(f"gristmill.commands.{module}"), function)
        alone = typer.Typer(rich_markup_mode=None, add_completion=False)
        alone.command(self.name)(typed)
        return typer.main.get_command(alone).make_context(info_name, args, *more, **extra)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"gristmill {version('gristmill')}")
        raise typer.Exit


def _main(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    os.environ["GRISTMILL_DEBUG"] = "1" if debug else ""


def _make_app() -> typer.Typer:
    """Put the commands of the table into their groups."""
    groups = {
        name: typer.Typer(
            name=name or "gristmill",
            help=text,
            no_args_is_help=True,
            pretty_exceptions_enable=False,
            rich_markup_mode=None,
            context_settings={"help_option_names": ["-h", "--help"]},
        )
        for name, text in GROUPS.items()
    }
    made = groups.pop("")
    made.callback()(_main)
    for name, group in groups.items():
        made.add_typer(group, name=name)
    for words, entry in COMMANDS.items():
        *group_name, name = words.split()
        lazy = type("Lazy", (LazyCommand,), {"place": entry.place})
        add = groups[group_name[0]] if group_name else made
        add.command(name, cls=lazy, help=entry.help, hidden=entry.hidden)(lambda: None)
    return made


app = _make_app()


def main() -> None:
    """Entry point: every error is one readable block, with the exit code that README lists."""
    _put_environment_on_path()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # for the processes that this one starts
    gc.set_threshold(100_000, 50, 100)  # to look for garbage as often as usual takes a sixth longer
    record = os.environ.get("GRISTMILL_RECORD", "")  # ours; a stage that we start gets its own
    try:
        code = app(standalone_mode=False)
        if code == INTERRUPTED:  # typer's word for Ctrl-C
            raise KeyboardInterrupt
        leave(code if isinstance(code, int) else 0)
    except (KeyboardInterrupt, Exception) as error:
        if is_ctrl_c(error):
            if not record:
                typer.echo("interrupted; the next run goes on from here", err=True)
            leave(INTERRUPTED)
        if type(error).__module__.startswith(("typer", "click")):
            _usage(error, record)
        _end(_of_the_system(error) if isinstance(error, OSError) else error, record)


def _end(error: BaseException, record: str) -> NoReturn:
    """Says what failed: on the screen, or in a record for the process that started this one."""
    from gristmill.pipelines.base import EnvironmentFault, GristmillError, write_json

    if os.environ.get("GRISTMILL_DEBUG"):
        import traceback

        traceback.print_exc()
    elif record:
        known = error if isinstance(error, GristmillError) else EnvironmentFault(_first_line(error))
        write_json(Path(record), known.record())
    elif isinstance(error, GristmillError):
        typer.echo(f"error: {error}", err=True)
    else:
        where = "  next      gristmill --debug … shows where"
        typer.echo(f"error: {_first_line(error)}\n{where}", err=True)
    leave(error.exit_code if isinstance(error, GristmillError) else 4)


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"


def _of_the_system(error: OSError) -> Exception:
    from gristmill.pipelines.base import EnvironmentFault

    hints = {
        errno.ENOSPC: "free some space; nothing was lost, the next run goes on",
        errno.EDQUOT: "free some space; nothing was lost, the next run goes on",
        errno.EFBIG: "raise the limit on file sizes (ulimit -f)",
        errno.EACCES: "mend the permissions",
        errno.EROFS: "the file system is read-only",
    }
    if error.errno not in hints:
        return error
    place = error.filename or "a file"
    return EnvironmentFault(
        f"{place} cannot be written or read",
        found=os.strerror(error.errno),
        next=hints[error.errno],
    )


def _usage(error: Exception, record: str) -> NoReturn:
    show: Any = getattr(error, "show", None)
    if show is not None:
        show()
    elif type(error).__name__ == "Abort" and error.__cause__ is not None:
        # an EOFError of ours, which typer takes for an end of input
        _end(error.__cause__, record)
    else:
        typer.echo(f"error: {error}", err=True)
    leave(1)


def _put_environment_on_path() -> None:
    """DVC calls `gristmill` by name: it must be found where the environment is not activated."""
    place = str(Path(sys.executable).parent)
    paths = os.environ.get("PATH", "").split(os.pathsep)
    if place not in paths:
        os.environ["PATH"] = os.pathsep.join([place, *paths])


if __name__ == "__main__":
    main()
