from .firewall import (
    find_leaks as find_leaks,
)
from .firewall import (
    read_warnings as read_warnings,
)
from .firewall import (
    require_no_leaks as require_no_leaks,
)
from .hints import (
    SEQUENCE as SEQUENCE,
)
from .hints import (
    in_order as in_order,
)
from .hints import (
    previous_row as previous_row,
)
from .leak import (
    KINDS as KINDS,
)
from .leak import (
    ORDERED as ORDERED,
)
from .leak import (
    ROW_ORDER as ROW_ORDER,
)
from .leak import (
    Leak as Leak,
)
from .reading import (
    Values as Values,
)
from .reading import (
    whole_column as whole_column,
)
