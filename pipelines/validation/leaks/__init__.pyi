from .firewall import (
    find_leaks as find_leaks,
)
from .firewall import (
    read_warnings as read_warnings,
)
from .firewall import (
    require_no_leaks as require_no_leaks,
)
from .leak import (
    KINDS as KINDS,
)
from .leak import (
    Leak as Leak,
)
