from .comparison import (
    Answers as Answers,
)
from .comparison import (
    ModelComparison as ModelComparison,
)
from .comparison import (
    compare as compare,
)
from .final_evaluation import (
    FinalEvaluation as FinalEvaluation,
)
from .final_evaluation import (
    check_asked as check_asked,
)
from .final_evaluation import (
    evaluate as evaluate,
)
from .labels import (
    Threshold as Threshold,
)
from .metrics.measures import (
    Metric as Metric,
)
from .metrics.measures import (
    MetricDifference as MetricDifference,
)
from .metrics.measures import (
    holm as holm,
)
from .metrics.measures import (
    logged as logged,
)
from .metrics.measures import (
    lower_is_better as lower_is_better,
)
from .metrics.measures import (
    score as score,
)
from .metrics.paired import (
    Pair as Pair,
)
from .metrics.paired import (
    power_of as power_of,
)
from .metrics.paired import (
    rows_enough as rows_enough,
)
from .performance_decline import (
    MOST as MOST,
)
from .performance_decline import (
    MetricChange as MetricChange,
)
from .performance_decline import (
    decline as decline,
)
from .pictures.comparison_plots import (
    comparison_picture as comparison_picture,
)
from .pictures.drawing import (
    AnswersDrawing as AnswersDrawing,
)
from .pictures.drawing import (
    SearchDrawing as SearchDrawing,
)
from .pictures.drawing import (
    draw_answers as draw_answers,
)
from .pictures.drawing import (
    draw_search as draw_search,
)
from .predictions import (
    Predictions as Predictions,
)
from .predictions import (
    from_answers as from_answers,
)
from .predictions import (
    read_predictions as read_predictions,
)
from .slices import (
    write_slices as write_slices,
)
