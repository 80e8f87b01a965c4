from .prefect_server import (
    mlflow_ui as mlflow_ui,
)
from .prefect_server import (
    under_way as under_way,
)
from .processes import (
    Process as Process,
)
from .processes import (
    process_of as process_of,
)
