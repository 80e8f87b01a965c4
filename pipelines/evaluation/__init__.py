"""How good a model is on rows that nothing has seen. `.plots` brings matplotlib along."""

from pipelines.evaluation.calibration import Calibration
from pipelines.evaluation.evaluate import Evaluation, check_asked, evaluate
from pipelines.evaluation.labels import Labels, Threshold
from pipelines.evaluation.metrics import Metric, logged, lower_is_better, measure_all, score
from pipelines.evaluation.paired import Pair, power_of, rows_enough
from pipelines.evaluation.predictions import Predictions, from_answers, read_predictions
from pipelines.evaluation.slices import Slice, write_slices

__all__ = [
    "Calibration",
    "Evaluation",
    "Labels",
    "Metric",
    "Pair",
    "Predictions",
    "Slice",
    "Threshold",
    "check_asked",
    "evaluate",
    "from_answers",
    "logged",
    "lower_is_better",
    "measure_all",
    "power_of",
    "read_predictions",
    "rows_enough",
    "score",
    "write_slices",
]
