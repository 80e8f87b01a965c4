"""MLflow's tracking store: what was run, with what, and what came of it; the ledger of trials."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
