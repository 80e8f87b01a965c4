from .champion_drift import (
    DISTRIBUTIONS as DISTRIBUTIONS,
)
from .champion_drift import (
    distributions as distributions,
)
from .champion_drift import (
    not_compared as not_compared,
)
from .decide import (
    begin_ground as begin_ground,
)
from .decide import (
    begin_package as begin_package,
)
from .decide import (
    judge as judge,
)
from .decide import (
    make_package as make_package,
)
from .decide import (
    register as register,
)
from .evaluate_winner import (
    final_evaluation as final_evaluation,
)
from .new_data import (
    described as described,
)
from .new_data import (
    differences as differences,
)
from .new_data import (
    take_new_version as take_new_version,
)
from .pictures import (
    begin_answer_pictures as begin_answer_pictures,
)
from .pictures import (
    begin_search_pictures as begin_search_pictures,
)
from .pictures import (
    take_pictures as take_pictures,
)
from .prepare_data import (
    begin_stages as begin_stages,
)
from .prepare_data import (
    carry_out as carry_out,
)
from .prepare_data import (
    compare_with_accepted as compare_with_accepted,
)
from .prepare_data import (
    take_new_data as take_new_data,
)
from .prepare_data import (
    take_snapshot as take_snapshot,
)
from .publish import (
    publish_report as publish_report,
)
from .publish import (
    say_end as say_end,
)
from .search_trials import (
    earlier_run as earlier_run,
)
from .search_trials import (
    search as search,
)
