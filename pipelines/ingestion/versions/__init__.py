"""Versions of data sets: pinned, restored, renewed, listed, merged."""
