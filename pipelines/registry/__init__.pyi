from .candidate import (
    DECISION as DECISION,
)
from .candidate import (
    Registered as Registered,
)
from .candidate import (
    judge as judge,
)
from .candidate import (
    package_candidate as package_candidate,
)
from .candidate import (
    register_candidate as register_candidate,
)
from .champion_answers import (
    PREDICTIONS as PREDICTIONS,
)
from .champion_answers import (
    ground_of as ground_of,
)
from .champion_answers import (
    recipe_digest as recipe_digest,
)
from .gate import (
    MANY_READS as MANY_READS,
)
from .gate import (
    Decision as Decision,
)
from .loading import (
    load_version as load_version,
)
from .models import (
    Signature as Signature,
)
from .models import (
    champion as champion,
)
from .models import (
    describe as describe,
)
from .models import (
    fetch_package as fetch_package,
)
from .models import (
    find as find,
)
from .models import (
    require_champion as require_champion,
)
from .models import (
    require_version as require_version,
)
from .models import (
    require_versions as require_versions,
)
from .models import (
    signature as signature,
)
from .models import (
    trained as trained,
)
from .models import (
    versions as versions,
)
from .version import (
    CHALLENGER as CHALLENGER,
)
from .version import (
    CHAMPION as CHAMPION,
)
from .version import (
    Version as Version,
)
