"""A process of its own that loads a package as a stranger would, and answers rows with it.

Run by path, never imported. It reads one request a line from standard input and answers in JSON.
"""

import gc
import importlib
import json
import logging
import os
import select
import sys
import threading
import time
import warnings


def main() -> None:
    """Imports what packages need, the modules that are named to it too, then serves requests."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    warnings.simplefilter("ignore")
    replies, sys.stdout = sys.stdout, sys.stderr  # a package may print what it likes
    logging.disable(logging.WARNING)
    gc.disable()  # a fifth of the time of an import, for nothing
    for name in sys.argv[1:]:  # before the request comes, so that nobody waits for it
        importlib.import_module(name)
    import mlflow
    import pandas as pd

    gc.freeze()
    gc.enable()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            began = time.monotonic()
            mlflow.set_tracking_uri(request["store"])
            mlflow.set_registry_uri(request["store"])
            model = mlflow.pyfunc.load_model(request["model"])
            loaded = time.monotonic()
            rows = pd.read_parquet(request["rows"])
            model.predict(rows).to_parquet(request["answers"])
            reply = {
                "load_seconds": loaded - began,
                "predict_seconds": time.monotonic() - loaded,
                "imported": sorted(
                    {m.partition(".")[0] for m in sys.modules} & {"pipelines", "flows"}
                ),
            }
        except Exception as error:  # whatever a package raises is the answer
            reply = {"error": f"{type(error).__name__}: {error}"[:1500]}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


def _end_with_parent() -> None:
    """Ends this process when nobody holds the other end of standard input, whatever it is at."""
    ears = select.poll()
    ears.register(sys.stdin.fileno(), 0)  # 0: of nothing but the hang-up
    ears.poll()
    os._exit(9)


if __name__ == "__main__":
    main()
