from .distributions import (
    Shift as Shift,
)
from .distributions import (
    TableDifference as TableDifference,
)
from .distributions import (
    compare_tables as compare_tables,
)
from .distributions import (
    drifted as drifted,
)
from .distributions import (
    rows_needed as rows_needed,
)
from .distributions import (
    shifts as shifts,
)
from .distributions import (
    summarise as summarise,
)
