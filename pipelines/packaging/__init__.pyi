from .libraries import (
    Differing as Differing,
)
from .libraries import (
    differing as differing,
)
from .libraries import (
    other_versions as other_versions,
)
from .package import (
    Package as Package,
)
from .package import (
    make_package as make_package,
)
from .package import (
    package_digest as package_digest,
)
from .package import (
    plain_types as plain_types,
)
from .package import (
    training_examples as training_examples,
)
from .rehearsal import (
    Rehearsal as Rehearsal,
)
from .weights import (
    WeightsCompared as WeightsCompared,
)
from .weights import (
    compare_weights as compare_weights,
)
