"""Plots of predictions, searches and comparisons by matplotlib."""
