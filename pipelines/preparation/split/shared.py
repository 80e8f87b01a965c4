"""Use the cuts of another experiment, `split: {as: churn}`, so that models can be compared."""

from __future__ import annotations

from gristmill.pipelines.base import ConfigError
from gristmill.pipelines.config import PrepareSections, Project, load_sections
from gristmill.pipelines.preparation.split.cuts_file import Cuts, read_cuts, settings_of


def owner_of(
    project: Project, name: str, document: PrepareSections
) -> tuple[PrepareSections, Cuts | None]:
    """Return the experiment that owns the cuts, and the cuts; None if they are not shared.

    Args:
        project: the project.
        name: name of the experiment.
        document: its experiment file.

    Raises:
        ConfigError: the other experiment does not exist, has other data or folds, shares cuts
            itself, or its cuts are missing, damaged or outdated.
    """
    other = document.split.as_
    if other is None:
        return document, None
    if other == name:
        raise ConfigError(
            "split.as names the experiment itself",
            expected="another experiment over the same data",
            found=name,
        )
    owner = load_sections(project, other, PrepareSections)
    if owner.data.folder != document.data.folder:
        raise ConfigError(
            f"the cuts of '{other}' cannot be shared: it uses other data",
            expected=f"an experiment over data/{document.data.folder}",
            found=f"data/{owner.data.folder}",
        )
    if owner.split.as_ is not None:
        raise ConfigError(
            f"'{other}' shares the cuts of another experiment itself",
            expected="the experiment that owns them",
            found=f"split.as: {owner.split.as_} in experiments/{other}.yaml",
            next=f"split: {{as: {owner.split.as_}}}",
        )
    if owner.split.folds != document.split.folds:
        said = [f"folds: {split.folds or 'none'}" for split in (owner.split, document.split)]
        both = f", folds: {owner.split.folds}" if owner.split.folds else ""
        raise ConfigError(
            f"the cuts of '{other}' cannot be shared: it has other folds",
            expected=said[0],
            found=said[1],
            next=f"split: {{as: {other}{both}}}",
        )
    return owner, _cuts(project, other, owner)


def _cuts(project: Project, other: str, owner: PrepareSections) -> Cuts:
    file = project.cuts_file(other)
    again = f"dvc repro split@{other}"
    if not file.exists():
        raise ConfigError(
            f"there are no cuts of '{other}' yet",
            expected=f"experiments/{file.name}",
            found="no such file",
            next=again,
        )
    cuts = read_cuts(file)
    wanted = settings_of(owner.split, owner.data.target)
    if dict(cuts.rule) != wanted:
        changed = [k for k in {**wanted, **cuts.rule} if wanted.get(k) != cuts.rule.get(k)]
        raise ConfigError(
            f"the cuts of '{other}' do not match its experiment file",
            expected=", ".join(f"{k} {wanted.get(k)}" for k in changed),
            found=", ".join(f"{k} {cuts.rule.get(k)}" for k in changed),
            next=again,
        )
    return cuts
