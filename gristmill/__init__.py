"""What people type: one module for each command, and where flows and steps are imported from."""
