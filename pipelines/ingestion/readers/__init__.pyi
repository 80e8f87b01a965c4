from .faults import (
    unreadable as unreadable,
)
from .formats import (
    read as read,
)
from .idx import (
    idx_digest as idx_digest,
)
from .type_inference import (
    Again as Again,
)
from .type_inference import (
    Rows as Rows,
)
