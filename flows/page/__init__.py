"""The report of a run: as HTML page, as Markdown, and on the screen."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
