"""Leaks: columns and rows that tell the target, or the test rows, before their time.

An error is a proof: what is found cannot be in clean data but by a chance that is not worth
naming. Strength alone proves nothing (one in three clean binary problems has a column with an AUC
of 0.99), so it warns.

That the firewall reads the target of all rows, test rows too, is no leak itself: nothing that it
finds reaches a model. It changes no value, chooses no column and fits nothing that is kept; it
stops, or it lets everything pass as it is.

Sources: Kaufman, Rosset, Perlich, Stitelman: Leakage in data mining, 2012; Barz, Denzler: Do we
train on test data?, 2020.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
