from .prefect_server import (
    mlflow_ui as mlflow_ui,
)
