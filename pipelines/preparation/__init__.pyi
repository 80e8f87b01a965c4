from .columns import (
    GIVEN_ROLE as GIVEN_ROLE,
)
from .columns import (
    declared_kinds as declared_kinds,
)
from .columns import (
    feature_columns as feature_columns,
)
from .features.column_fit import (
    WORD_PAIRS as WORD_PAIRS,
)
from .features.frames import (
    frames as frames,
)
from .features.prepare import (
    scale as scale,
)
from .features.transforms import (
    MISSING as MISSING,
)
from .features.transforms import (
    UNSEEN as UNSEEN,
)
from .features.transforms import (
    answers as answers,
)
from .features.transforms import (
    as_text as as_text,
)
from .features.transforms import (
    class_name as class_name,
)
from .features.transforms import (
    class_places as class_places,
)
from .features.transforms import (
    encode_target as encode_target,
)
from .features.transforms import (
    in_own_units as in_own_units,
)
from .features.transforms import (
    input_names as input_names,
)
from .features.transforms import (
    labels as labels,
)
from .features.transforms import (
    optional_names as optional_names,
)
from .features.transforms import (
    scaled as scaled,
)
from .seen import (
    SeenRows as SeenRows,
)
from .seen import (
    dates_of as dates_of,
)
from .seen import (
    group_of as group_of,
)
from .seen import (
    read_seen as read_seen,
)
from .seen import (
    seen_rows as seen_rows,
)
from .seen import (
    write_seen as write_seen,
)
from .split.assignment import (
    split_table as split_table,
)
from .split.cuts_file import (
    ROLES as ROLES,
)
from .split.cuts_file import (
    TEST as TEST,
)
from .split.cuts_file import (
    TRAINING as TRAINING,
)
from .split.cuts_file import (
    VALIDATION as VALIDATION,
)
from .split.given_roles import (
    WORDS as WORDS,
)
from .split.roles_file import (
    changed_roles as changed_roles,
)
from .split.roles_file import (
    read_folds as read_folds,
)
from .split.roles_file import (
    read_left_out as read_left_out,
)
from .split.roles_file import (
    read_roles as read_roles,
)
from .split.roles_file import (
    rows_to_learn_from as rows_to_learn_from,
)
from .split.shared import (
    owner_of as owner_of,
)
