"""What is kept and said of a run at its end: the report as Markdown and as a page."""

from __future__ import annotations

from dataclasses import replace

from gristmill.flows.outcome import PAGE, REPORT, decision_lines, page_lines
from gristmill.flows.page import champion_metrics, gather, markdown, page, show
from gristmill.flows.results import Finished
from gristmill.flows.session import current


def publish_report(made: Finished) -> Finished:
    """Keeps the report with the run; returns all that it came to."""
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
    """The tables, the decision and where the page is, on the screen."""
    run = current()
    show(run, made)
    for line in [
        *decision_lines(made.outcome),
        *page_lines(run.project, run.experiment.name, run.tracker.run_id),
    ]:
        run.screen.say(line)
