from .data import (
    Csv as Csv,
)
from .data import (
    Data as Data,
)
from .data import (
    IngestSections as IngestSections,
)
from .data import (
    Pictures as Pictures,
)
from .evaluation import (
    Bins as Bins,
)
from .evaluation import (
    Evaluation as Evaluation,
)
from .evaluation import (
    Slices as Slices,
)
from .evaluation import (
    ThresholdRule as ThresholdRule,
)
from .features import (
    Feature as Feature,
)
from .features import (
    Features as Features,
)
from .features import (
    PrepareSections as PrepareSections,
)
from .gate import (
    Gate as Gate,
)
from .gate import (
    Requirement as Requirement,
)
from .model import (
    Model as Model,
)
from .monitor import (
    Monitor as Monitor,
)
from .schedule import (
    Rhythm as Rhythm,
)
from .schedule import (
    Schedule as Schedule,
)
from .schema import (
    Column as Column,
)
from .schema import (
    Rule as Rule,
)
from .schema import (
    Schema as Schema,
)
from .schema import (
    ValidateSections as ValidateSections,
)
from .score import (
    Score as Score,
)
from .search import (
    Distribution as Distribution,
)
from .search import (
    Search as Search,
)
from .split import (
    Split as Split,
)
from .split import (
    TimeSplit as TimeSplit,
)
from .training import (
    EarlyStopping as EarlyStopping,
)
from .training import (
    ReduceLROnPlateau as ReduceLROnPlateau,
)
from .training import (
    Training as Training,
)
from .training import (
    read_epochs as read_epochs,
)
