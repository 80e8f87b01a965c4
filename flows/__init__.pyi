from .checking import (
    check as check,
)
from .outcome import (
    DONE as DONE,
)
from .outcome import (
    EXIT_CODES as EXIT_CODES,
)
from .outcome import (
    done_lines as done_lines,
)
from .outcome import (
    require_unchanged as require_unchanged,
)
from .run_log import (
    kept_logs as kept_logs,
)
from .run_log import (
    log_lines as log_lines,
)
from .run_plan import (
    Plan as Plan,
)
from .run_plan import (
    make_plan as make_plan,
)
from .schedules import (
    schedule_lines as schedule_lines,
)
from .schedules import (
    scheduler as scheduler,
)
from .schedules import (
    schedules_of as schedules_of,
)
from .scoring import (
    score as score,
)
from .servers.flow_runs import (
    remove_flow_runs as remove_flow_runs,
)
from .servers.flow_runs import (
    wait_until_recorded as wait_until_recorded,
)
from .servers.password import (
    USER as USER,
)
from .servers.password import (
    credentials as credentials,
)
from .servers.password import (
    mend_password as mend_password,
)
from .servers.password import (
    password as password,
)
from .servers.password import (
    password_fault as password_fault,
)
from .servers.password import (
    password_file as password_file,
)
from .servers.prefect_server import (
    Server as Server,
)
from .servers.prefect_server import (
    mend_killed as mend_killed,
)
from .servers.prefect_server import (
    running_server as running_server,
)
from .servers.prefect_server import (
    serving as serving,
)
from .servers.prefect_server import (
    settings as settings,
)
from .servers.processes import (
    HOST as HOST,
)
from .servers.processes import (
    listen as listen,
)
from .servers.processes import (
    mlflow_server as mlflow_server,
)
from .servers.processes import (
    port_fault as port_fault,
)
from .servers.processes import (
    require_free as require_free,
)
from .servers.processes import (
    watch_over as watch_over,
)
from .session import (
    LOCK as LOCK,
)
from .session import (
    Session as Session,
)
from .session import (
    holder as holder,
)
from .session import (
    open_session as open_session,
)
from .steps.new_data import (
    described as described,
)
from .steps.new_data import (
    differences as differences,
)
from .steps.new_data import (
    take_new_version as take_new_version,
)
from .steps.prepare_data import (
    begin_stages as begin_stages,
)
from .train import (
    run_train as run_train,
)
