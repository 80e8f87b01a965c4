"""The steps from a data set to a registered model, in plain Python.

Nothing in here imports Prefect, typer or `flows`. `base`, `tables` and `reporting` are the ground
floor; above them, each folder may import those before it: config, tracking, ingestion, validation,
preparation, profiling, training, workers, search, evaluation, packaging, registry.
`make lint` holds this order.
"""
