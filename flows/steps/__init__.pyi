from .champion_drift import (
    DISTRIBUTIONS as DISTRIBUTIONS,
)
from .champion_drift import (
    DRIFT as DRIFT,
)
from .champion_drift import (
    distributions as distributions,
)
from .champion_drift import (
    not_compared as not_compared,
)
from .pictures import (
    begin_answer_pictures as begin_answer_pictures,
)
from .pictures import (
    begin_search_pictures as begin_search_pictures,
)
from .pictures import (
    take_pictures as take_pictures,
)
from .steps import (
    OPTIMISTIC as OPTIMISTIC,
)
from .steps import (
    Searched as Searched,
)
from .watch import (
    trial_parameters as trial_parameters,
)
