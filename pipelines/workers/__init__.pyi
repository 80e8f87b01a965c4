from .pool import (
    Pool as Pool,
)
from .ray_pool import (
    LOCAL as LOCAL,
)
from .ray_pool import (
    RayPool as RayPool,
)
from .ray_pool import (
    address_of as address_of,
)
from .scheduler import (
    Scheduler as Scheduler,
)
from .worker import (
    Done as Done,
)
from .worker import (
    Epoch as Epoch,
)
from .worker import (
    Export as Export,
)
from .worker import (
    Train as Train,
)
from .worker import (
    raise_error as raise_error,
)
