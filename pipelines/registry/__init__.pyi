from .candidate import (
    DECISION as DECISION,
)
from .candidate import (
    CandidateRun as CandidateRun,
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
from .contests import (
    Contest as Contest,
)
from .contests import (
    NotWorse as NotWorse,
)
from .evidence import (
    ContestCheck as ContestCheck,
)
from .evidence import (
    Evidence as Evidence,
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
from .model_records import (
    CHALLENGER as CHALLENGER,
)
from .model_records import (
    CHAMPION as CHAMPION,
)
from .model_records import (
    Version as Version,
)
from .registered_models import (
    Signature as Signature,
)
from .registered_models import (
    TrainedModel as TrainedModel,
)
from .registered_models import (
    champion as champion,
)
from .registered_models import (
    describe as describe,
)
from .registered_models import (
    fetch_package as fetch_package,
)
from .registered_models import (
    find as find,
)
from .registered_models import (
    require_champion as require_champion,
)
from .registered_models import (
    require_version as require_version,
)
from .registered_models import (
    require_versions as require_versions,
)
from .registered_models import (
    signature as signature,
)
from .registered_models import (
    trained as trained,
)
from .registered_models import (
    versions as versions,
)
