"""The command line: `gristmill`. The module of a command is imported when it is called."""

from __future__ import annotations

import errno
import gc
import os
import re
import sys
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Annotated, Any, ClassVar, NoReturn

import typer
from typer.core import TyperCommand

from gristmill import IGNORED
from gristmill.commands.endings import INTERRUPTED, echo, is_ctrl_c, leave

GROUPS = {
    "": "From a data set and one YAML file to a registered, promotable model, every night.",
    "data": "Data sets: compare, restore, refresh and switch versions.",
    "runs": "Runs: list, show the log, cancel and clean up.",
    "config": "The experiment file with all defaults, and its JSON Schema.",
}

COMMANDS = {
    "run": "run:run",
    "new": "new:new",
    "remove": "remove:remove",
    "plan": "plan:plan",
    "stage": "stage:stage",
    "score": "score:score",
    "check": "check:check",
    "serve": "serve:serve",
    "models": "models:models",
    "compare": "compare:compare",
    "promote": "models:promote",
    "rollback": "models:rollback",
    "reject": "models:reject",
    "archive": "models:archive",
    "reproduce": "reproduce:reproduce",
    "retrain": "reproduce_worker:retrain",
    "probe": "bisect_worker:probe",
    "up": "up:up",
    "doctor": "doctor:doctor",
    "data status": "data:status",
    "data restore": "data:restore",
    "data refresh": "data:refresh",
    "data log": "data:log",
    "data use": "data:use",
    "data who-used": "who_used:who_used",
    "data bisect": "bisect:bisect",
    "data formats": "data:formats",
    "data merge": "merge:merge",
    "runs list": "runs:show",
    "runs logs": "runs:logs",
    "runs cancel": "runs:cancel",
    "runs gc": "gc:collect",
    "config show": "config:show",
    "config schema": "config:print_schema",
}
"""Module in `commands` and function of each command; the docstring is the help."""

HIDDEN = ("retrain", "probe", "data merge")
"""Commands that other processes call; not listed in the help."""


class LazyCommand(TyperCommand):
    """A command whose module is imported only when it is called."""

    place: ClassVar[str]

    def make_context(self, info_name: str | None, args: list[str], *more: Any, **extra: Any) -> Any:
        """Import the command's module and return the context of the real command."""
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
    """Build the application from the table of commands."""
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
    for words, place in COMMANDS.items():
        *group_name, name = words.split()
        lazy = type("Lazy", (LazyCommand,), {"place": place})
        add = groups[group_name[0]] if group_name else made
        add.command(name, cls=lazy, help=_help(place), hidden=words in HIDDEN)(lambda: None)
    return made


def _help(place: str) -> str:
    """Return a command's docstring up to the form feed, without importing its module."""
    module, function = place.split(":")
    source = Path(__file__).with_name("commands") / f"{module}.py"
    pattern = rf'^def {function}\(.*?"""(.*?)(?:\\f|""")'
    found = re.search(pattern, source.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return found[1] if found else ""


app = _make_app()


def main() -> None:
    """Run the command line; print errors as one block. Exit codes: docs/operations.md."""
    _put_environment_on_path()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # for the processes that this one starts
    gc.set_threshold(100_000, 50, 100)  # the default thresholds cost a sixth of the run time
    record = os.environ.get(
        "GRISTMILL_RECORD", ""
    )  # of this process; a stage started here gets another
    if IGNORED and not record:
        typer.echo(f"ignored, because they belong to other work: {', '.join(IGNORED)}", err=True)
    try:
        code = app(standalone_mode=False)
        if code == INTERRUPTED:  # typer returns it on Ctrl-C
            raise KeyboardInterrupt
        leave(code if isinstance(code, int) else 0)
    except (KeyboardInterrupt, Exception) as error:
        if is_ctrl_c(error):
            if not record:
                echo("interrupted; the next run continues from here", err=True)
            leave(INTERRUPTED)
        if type(error).__module__.startswith(("typer", "click")):
            _usage(error, record)
        _end(_of_the_system(error) if isinstance(error, OSError) else error, record)


def _end(error: BaseException, record: str) -> NoReturn:
    """Report an error on the screen, or in a record for the parent process; then exit."""
    from gristmill.pipelines.base import EnvironmentFault, GristmillError, write_json

    if os.environ.get("GRISTMILL_DEBUG"):
        import traceback

        echo(traceback.format_exc(), err=True)
    elif record:
        known = error if isinstance(error, GristmillError) else EnvironmentFault(_first_line(error))
        write_json(Path(record), known.record())
    elif isinstance(error, GristmillError):
        echo(f"error: {error}", err=True)
    else:
        where = "  next      gristmill --debug … shows the traceback"
        echo(f"error: {_first_line(error)}\n{where}", err=True)
    leave(error.exit_code if isinstance(error, GristmillError) else 4)


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"


def _of_the_system(error: OSError) -> Exception:
    from gristmill.pipelines.base import EnvironmentFault

    hints = {
        errno.ENOSPC: "free some space; nothing was lost, the next run continues",
        errno.EDQUOT: "free some space; nothing was lost, the next run continues",
        errno.EFBIG: "raise the limit on file sizes (ulimit -f)",
        errno.EACCES: "fix the permissions",
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


def _usage(error: BaseException, record: str) -> NoReturn:
    show: Any = getattr(error, "show", None)
    if show is not None:
        said = StringIO()
        show(said)  # may contain what was typed
        echo(said.getvalue().rstrip("\n"), err=True)
    elif type(error).__name__ == "Abort" and error.__cause__ is not None:
        # an EOFError from our code, which typer treats as the end of input
        _end(error.__cause__, record)
    else:
        echo(f"error: {error}", err=True)
    leave(1)


def _put_environment_on_path() -> None:
    """Add the environment's scripts to PATH: DVC calls `gristmill` by name."""
    place = str(Path(sys.executable).parent)
    paths = os.environ.get("PATH", "").split(os.pathsep)
    if place not in paths:
        os.environ["PATH"] = os.pathsep.join([place, *paths])


if __name__ == "__main__":
    main()
