from .messages import (
    Done as Done,
)
from .messages import (
    Epoch as Epoch,
)
from .messages import (
    Export as Export,
)
from .messages import (
    Train as Train,
)
from .messages import (
    raise_error as raise_error,
)
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
