"""The last step: a version's model card, and a run's report as Markdown and as a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gristmill.flows.outcome import DONE, PAGE, REPORT, decision_lines, page_lines
from gristmill.flows.page import champion_metrics, gather, markdown, metric_table, page, show
from gristmill.flows.results import Finished
from gristmill.flows.session import Session, current
from gristmill.pipelines.base import redact
from gristmill.pipelines.config import Document, Experiment
from gristmill.pipelines.evaluation import FinalEvaluation
from gristmill.pipelines.registry import Registered, Signature, describe, signature
from gristmill.pipelines.reporting import Block, Facts, Lines, Text, Titled, as_markdown
from gristmill.pipelines.tracking import git_state

NOT_SAID = "Not stated; add `{key}:` to `experiments/{name}.yaml`."

SHOWN = 8
"""Maximum number of columns named per type."""


def keep_card(
    run: Session, evaluation: FinalEvaluation, registered: Registered, digests: Mapping[str, str]
) -> None:
    """Store the model card as `model_card.md` with the run, and in the registry.

    Args:
        run: session of the run.
        evaluation: the winner on the test rows.
        registered: the version and the decision.
        digests: DVC's hashes of the data, by path.
    """
    data, state = run.experiment.data, git_state(run.project)
    trained_on = {
        "data": f"data/{data.folder} version {digests.get(f'data/{data.folder}', '')[:8]}",
        "source": redact(data.source or data.path),
        "commit": state.commit[:12] + " and uncommitted changes" * state.dirty,
        "run": run.tracker.run_id,
    }
    of_version = (run.project, registered.model, registered.version)
    card = model_card(run.experiment, evaluation, registered, trained_on, signature(*of_version))
    file = run.build / "model_card.md"
    file.write_text(card, encoding="utf-8")
    run.tracker.log_file(file)
    describe(*of_version, card, as_markdown("", about(run.experiment)))


def model_card(
    experiment: Experiment,
    evaluation: FinalEvaluation,
    registered: Registered,
    data: Mapping[str, str],
    signature: Signature,
) -> str:
    """Return the model card as Markdown.

    Args:
        experiment: the experiment.
        evaluation: the winner on the test rows.
        registered: the version and the decision.
        data: facts about data and code of the training, by label.
        signature: columns of inputs and outputs.
    """
    name, version = registered.model, registered.version
    columns = [
        *(f"in: {line}" for line in _columns(signature.inputs)),
        *(f"out: {line}" for line in _columns(signature.outputs)),
    ]
    left_out = f"{evaluation.left_out}." * bool(evaluation.left_out)
    loads = f'Load it with `mlflow.pyfunc.load_model("models:/{name}/{version}")`.'
    return as_markdown(
        f"{name}, version {version}",
        [
            *about(experiment),
            Titled("Trained on", [Facts(data)]),
            Titled(
                f"{evaluation.measured:,} test rows", [Text(left_out), metric_table(evaluation)]
            ),
            Titled(
                f"Decision: {DONE[registered.decision.outcome]}",
                [Lines(registered.decision.reasons)],
            ),
            Titled("Signature", [Lines(columns), Text(loads, markdown=True)]),
        ],
    )


def about(experiment: Experiment) -> list[Block]:
    """Return the description, intended use and limits from the experiment file."""
    document: Document = experiment.document
    blocks: list[Block] = [Text(document.description, markdown=True)]
    for title, key in (("Intended use", "intended_use"), ("Limits", "limits")):
        text = getattr(document, key) or NOT_SAID.format(key=key, name=experiment.name)
        blocks.append(Titled(title, [Text(text, markdown=True)]))
    return blocks


def _columns(columns: Sequence[tuple[str, str]]) -> list[str]:
    """Return a line per type; of many columns only the first and the last are named."""
    by_type: dict[str, list[str]] = {}
    for name, kind in columns:
        by_type.setdefault(kind, []).append(name)
    return [f"{kind}: {_few(names)}" for kind, names in by_type.items()]


def _few(names: Sequence[str]) -> str:
    if len(names) <= SHOWN:
        return ", ".join(names)
    return f"{', '.join(names[: SHOWN - 1])} … {names[-1]} ({len(names)} columns)"


def publish_report(made: Finished) -> Finished:
    """Store the report with the run; return the results with times and champion metrics."""
    run = current()
    champion = champion_metrics(run, made.registered.version, made.evaluation)
    made = replace(made, champion=champion, times=run.screen.parts())
    spent = {f"system/time_{name}": seconds for name, seconds in made.times.items()}
    run.tracker.log(metrics=spent)
    for name, content in ((REPORT, markdown(run, made)), (PAGE, page(gather(run, made)))):
        file = run.build / name
        file.write_text(content, encoding="utf-8")
        run.tracker.log_file(file)
    return made


def say_end(made: Finished) -> None:
    """Print the tables, the decision and the path of the page."""
    run = current()
    show(run, made)
    for line in [
        *decision_lines(made.outcome),
        *page_lines(run.project, run.experiment.name, run.tracker.run_id),
    ]:
        run.screen.say(line)
