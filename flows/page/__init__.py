"""The page of a run, the same as Markdown, and the table on the screen at its end."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
