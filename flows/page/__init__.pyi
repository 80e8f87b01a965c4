from .facts import (
    champion_metrics as champion_metrics,
)
from .facts import (
    gather as gather,
)
from .report import (
    markdown as markdown,
)
from .report import (
    show as show,
)
from .run_page import (
    page as page,
)
from .tables import (
    metric_table as metric_table,
)
from .tables import (
    trial_table as trial_table,
)
