from .estimators import (
    train_estimator as train_estimator,
)
from .identity import (
    ALL_FOLDS as ALL_FOLDS,
)
from .identity import (
    FOLD as FOLD,
)
from .identity import (
    MODEL_FILES as MODEL_FILES,
)
from .identity import (
    Trial as Trial,
)
from .identity import (
    changed as changed,
)
from .identity import (
    changed_parts as changed_parts,
)
from .identity import (
    cores as cores,
)
from .identity import (
    device as device,
)
from .identity import (
    environment as environment,
)
from .identity import (
    instruction_set as instruction_set,
)
from .identity import (
    kind_of as kind_of,
)
from .identity import (
    on_all_folds as on_all_folds,
)
from .identity import (
    shared_parts as shared_parts,
)
from .identity import (
    surroundings as surroundings,
)
from .identity import (
    trials_at as trials_at,
)
from .identity import (
    user_sources as user_sources,
)
from .predictor import (
    ABOUT as ABOUT,
)
from .programs import (
    Programs as Programs,
)
from .programs import (
    use_threads as use_threads,
)
from .recipes import (
    read_recipe as read_recipe,
)
from .recipes import (
    recipe_record as recipe_record,
)
from .training_rows import (
    ready as ready,
)
from .training_rows import (
    rows_together as rows_together,
)
from .trial import (
    LOST as LOST,
)
from .trial import (
    TrialResult as TrialResult,
)
from .trial import (
    more_is_better as more_is_better,
)
from .trial import (
    read_result as read_result,
)
from .trial import (
    run_trial as run_trial,
)
from .trial import (
    set_weights as set_weights,
)
