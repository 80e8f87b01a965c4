from .prefect_server import (
    mlflow_ui as mlflow_ui,
)
from .prefect_server import (
    under_way as under_way,
)
