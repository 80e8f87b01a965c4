"""What Prefect runs: flows, tasks and servers. The body of a task is one call into `steps`."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
