from .faults import (
    check_names as check_names,
)
from .faults import (
    forbidden as forbidden,
)
from .faults import (
    unreadable as unreadable,
)
from .format_choice import (
    find_format as find_format,
)
from .format_choice import (
    read as read,
)
from .idx import (
    idx_digest as idx_digest,
)
from .mixed_column import (
    MixedColumn as MixedColumn,
)
from .multipart import (
    part_files as part_files,
)
from .near_misses import (
    near_misses as near_misses,
)
from .type_inference import (
    Again as Again,
)
from .type_inference import (
    RowStream as RowStream,
)
