from .facts import (
    champion_metrics as champion_metrics,
)
from .facts import (
    gather as gather,
)
from .report import (
    metric_rows as metric_rows,
)
from .run_page import (
    page as page,
)
