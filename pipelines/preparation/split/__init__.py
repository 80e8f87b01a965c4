"""A role for every row: a hash decides, frozen cuts make it exact."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
