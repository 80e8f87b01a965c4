"""The part of `gristmill reproduce` that runs in an older working tree: raw data to weights."""

from __future__ import annotations

from pathlib import Path

from gristmill.pipelines.base import end_with_parent, read_json, uncollected, write_json
from gristmill.pipelines.config import Project
from gristmill.pipelines.ingestion import hash_of, ingest
from gristmill.pipelines.preparation import scale, split_table
from gristmill.pipelines.training import MODEL_FILES, read_recipe, read_result, surroundings
from gristmill.pipelines.workers import Epoch, Export, Pool, Train


def retrain(record: Path, answer: Path) -> None:
    """Train the trial of a record in this folder (called by `reproduce`).\f

    Run the data stages, train one trial, and write its model. The record is the artifact
    `lineage/winner.json` of a run plus `experiment`. The answer contains the `parts` of the key in
    this tree, the path of the `model` file, and `error`, which is empty after a complete training.
    """
    end_with_parent()
    about, project = read_json(record), Project.find()
    name, recipe = about["experiment"], read_recipe(about["recipe"])
    build = project.build(name)
    folder = build / "trials" / about["key"]
    pool = Pool(build / "workers.log", recipe.model.library)
    try:
        pool.warm_up()
        with uncollected():  # as in `gristmill stage`
            for stage in (ingest, split_table, scale):
                stage(project, name)
        digest = hash_of(project, build / "training")
        parts = surroundings(project.experiments, recipe.model, digest)
        rows, weights, threads = build / about["arrays"], folder / "weights.npz", about["threads"]
        asked = iter([Train(about["key"], recipe, rows, folder, project.experiments)])
        error = ""
        for message in pool.train(lambda: next(asked, None), 1, threads):
            if not isinstance(message, Epoch):
                error = str(message.error or "")
        result = read_result(folder)
        model = folder / MODEL_FILES[recipe.model.library]
        if not error and result is not None and result.status == "finished":
            pool.export(Export(recipe, rows, weights, model, project.experiments), threads)
        else:
            error = error or (result.error if result else "the trial left no result")
        write_json(answer, {"parts": parts, "model": str(model), "error": error})
    finally:
        pool.close()
