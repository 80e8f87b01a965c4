"""How good a model is on rows that nothing has seen. `.plots` brings matplotlib along."""

from pipelines.evaluation.evaluate import Evaluation, evaluate
from pipelines.evaluation.metrics import Metric, lower_is_better, measure_all, score
from pipelines.evaluation.paired import Pair, paired_p, power_of, rows_enough
from pipelines.evaluation.predictions import Predictions, from_answers, read_predictions

__all__ = [
    "Evaluation",
    "Metric",
    "Pair",
    "Predictions",
    "evaluate",
    "from_answers",
    "lower_is_better",
    "measure_all",
    "paired_p",
    "power_of",
    "read_predictions",
    "rows_enough",
    "score",
]
