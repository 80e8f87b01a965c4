"""The package of a model, from raw rows to predictions, and its test in a fresh process."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
