from .arrays import (
    Flags as Flags,
)
from .arrays import (
    Floats as Floats,
)
from .arrays import (
    Hashes as Hashes,
)
from .arrays import (
    Places as Places,
)
from .column_types import (
    Storage as Storage,
)
from .column_types import (
    storage as storage,
)
from .hashing import (
    combine as combine,
)
from .hashing import (
    distinct_share as distinct_share,
)
from .hashing import (
    microseconds as microseconds,
)
from .hashing import (
    occurrences as occurrences,
)
from .hashing import (
    row_hashes as row_hashes,
)
from .hashing import (
    uniform as uniform,
)
from .row_changes import (
    Changes as Changes,
)
from .row_changes import (
    changed_columns as changed_columns,
)
from .row_changes import (
    table_changes as table_changes,
)
from .splitmix import (
    GOLDEN as GOLDEN,
)
from .splitmix import (
    mix as mix,
)
from .table_rows import (
    BATCH as BATCH,
)
from .table_rows import (
    MISSING as MISSING,
)
from .table_rows import (
    TableRows as TableRows,
)
from .table_rows import (
    column_names as column_names,
)
from .table_rows import (
    read_column as read_column,
)
