from .html_frame import (
    Html as Html,
)
from .html_frame import (
    html_facts as html_facts,
)
from .html_frame import (
    html_list as html_list,
)
from .html_frame import (
    html_page as html_page,
)
from .html_frame import (
    html_table as html_table,
)
from .html_frame import (
    meta as meta,
)
from .screen import (
    Screen as Screen,
)
from .screen import (
    markdown_table as markdown_table,
)
