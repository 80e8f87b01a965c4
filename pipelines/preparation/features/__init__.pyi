from .prepare import (
    Scaled as Scaled,
)
from .prepare import (
    scale as scale,
)
from .statistics import (
    fit as fit,
)
from .statistics import (
    fit_statistics as fit_statistics,
)
from .transforms import (
    answers as answers,
)
from .transforms import (
    as_text as as_text,
)
from .transforms import (
    class_name as class_name,
)
from .transforms import (
    class_places as class_places,
)
from .transforms import (
    encode_target as encode_target,
)
from .transforms import (
    feature_names as feature_names,
)
from .transforms import (
    in_own_units as in_own_units,
)
from .transforms import (
    input_names as input_names,
)
from .transforms import (
    optional_names as optional_names,
)
from .transforms import (
    probabilities as probabilities,
)
from .transforms import (
    scaled as scaled,
)
from .transforms import (
    transform as transform,
)
