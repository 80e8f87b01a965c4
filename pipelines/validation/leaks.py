"""Leaks: columns and rows that tell the target, or the test rows, before their time."""
