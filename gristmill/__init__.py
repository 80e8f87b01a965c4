"""What people type: one module for each command, and where flows and steps are imported from."""

from gristmill.shell_variables import ignore_in_this_process

IGNORED = ignore_in_this_process()
"""Names of the environment variables that were set and are ignored."""
