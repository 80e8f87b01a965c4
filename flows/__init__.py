"""Prefect's thin skin over the steps, and the command line."""
