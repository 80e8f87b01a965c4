from .importance import (
    Importance as Importance,
)
from .importance import (
    Scored as Scored,
)
from .importance import (
    are_numbers as are_numbers,
)
from .importance import (
    importance_of as importance_of,
)
from .points import (
    Point as Point,
)
from .points import (
    choose as choose,
)
from .points import (
    points_of as points_of,
)
from .strategies import (
    strategy_of as strategy_of,
)
from .trial_diff import (
    data_changes as data_changes,
)
from .trial_plans import (
    fed as fed,
)
from .trial_plans import (
    plan_each as plan_each,
)
from .trial_plans import (
    score_words as score_words,
)
from .trial_plans import (
    search_of as search_of,
)
from .trial_plans import (
    train_fed as train_fed,
)
from .trial_search import (
    TrialPlan as TrialPlan,
)
from .trial_search import (
    TrialSearch as TrialSearch,
)
