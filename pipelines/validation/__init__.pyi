from .drift.distributions import (
    MATTERS as MATTERS,
)
from .drift.distributions import (
    Shift as Shift,
)
from .drift.distributions import (
    advanced as advanced,
)
from .drift.distributions import (
    compare_tables as compare_tables,
)
from .drift.distributions import (
    drifted as drifted,
)
from .drift.distributions import (
    rows_needed as rows_needed,
)
from .drift.distributions import (
    shifts as shifts,
)
from .drift.distributions import (
    summarise as summarise,
)
from .leaks.firewall import (
    read_warnings as read_warnings,
)
from .leaks.firewall import (
    require_no_leaks as require_no_leaks,
)
from .schema.freshness import (
    check_fresh as check_fresh,
)
from .schema.rules import (
    Finding as Finding,
)
from .schema.scan import (
    breaks as breaks,
)
from .schema.validation import (
    check_expectations as check_expectations,
)
from .schema.validation import (
    validate as validate,
)
from .schema.validation import (
    validate_table as validate_table,
)
