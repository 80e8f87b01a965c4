from .calibration import (
    Calibration as Calibration,
)
from .calibration import (
    calibrate as calibrate,
)
from .intervals import (
    clopper_pearson as clopper_pearson,
)
from .measures import (
    Metric as Metric,
)
from .measures import (
    MetricDifference as MetricDifference,
)
from .measures import (
    holm as holm,
)
from .measures import (
    logged as logged,
)
from .measures import (
    lower_is_better as lower_is_better,
)
from .measures import (
    measure as measure,
)
from .measures import (
    measure_all as measure_all,
)
from .measures import (
    measure_difference as measure_difference,
)
from .measures import (
    score as score,
)
from .paired import (
    Pair as Pair,
)
from .paired import (
    power_of as power_of,
)
from .paired import (
    rows_enough as rows_enough,
)
from .sufficient_statistics import (
    confusion as confusion,
)
