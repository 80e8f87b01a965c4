"""The steps from a data set to a registered model, in plain Python.

Nothing in here imports Prefect. Imports go one way:
registry → evaluation → training → preparation → validation → ingestion → config,
and ``tracking`` imports only ``config``.
"""
