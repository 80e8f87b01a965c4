"""The data against the experiment's schema, by Great Expectations; leaks; drift."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
