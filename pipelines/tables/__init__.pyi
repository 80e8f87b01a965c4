from .hashing import (
    Hashes as Hashes,
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
from .splitmix import (
    GOLDEN as GOLDEN,
)
from .splitmix import (
    mix as mix,
)
from .table_rows import (
    MISSING as MISSING,
)
from .table_rows import (
    Rows as Rows,
)
from .table_rows import (
    rows_in as rows_in,
)
from .table_rows import (
    rows_of as rows_of,
)
