"""Leaks: columns and rows that reveal the target, or the test rows, too early.

An error is a proof: in clean data the finding has a negligible probability. Strength alone proves
nothing (one in three clean binary problems has a column with an AUC of 0.99), so it is a warning.

The firewall reads the target of all rows, including test rows. That is not a leak, because none of
its findings reaches a model: it changes no value, selects no column and keeps no fitted statistics.
It either stops the run or leaves everything as it is.

Sources: Kaufman, Rosset, Perlich, Stitelman: Leakage in data mining, 2012; Barz, Denzler: Do we
train on test data?, 2020.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
