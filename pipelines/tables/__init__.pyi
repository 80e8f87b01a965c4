from .hashing import (
    GOLDEN as GOLDEN,
)
from .hashing import (
    Flags as Flags,
)
from .hashing import (
    Floats as Floats,
)
from .hashing import (
    Hashes as Hashes,
)
from .hashing import (
    Places as Places,
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
    mix as mix,
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
from .name_meaning import (
    counts_time as counts_time,
)
from .name_meaning import (
    name_words as name_words,
)
from .name_meaning import (
    names_year as names_year,
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
from .table_rows import (
    BATCH as BATCH,
)
from .table_rows import (
    MISSING as MISSING,
)
from .table_rows import (
    Storage as Storage,
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
from .table_rows import (
    storage as storage,
)
