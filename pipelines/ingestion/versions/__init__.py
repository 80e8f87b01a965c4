"""Versions of data sets: pinned, restored, refreshed, listed, merged."""
