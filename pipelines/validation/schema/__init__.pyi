from .cell_values import (
    Array as Array,
)
from .cell_values import (
    as_text as as_text,
)
from .cell_values import (
    dates as dates,
)
from .cell_values import (
    plain as plain,
)
from .rules import (
    Finding as Finding,
)
from .scan import (
    breaks as breaks,
)
from .validation import (
    ValidationResult as ValidationResult,
)
from .validation import (
    check_expectations as check_expectations,
)
from .validation import (
    validate as validate,
)
from .validation import (
    validate_table as validate_table,
)
