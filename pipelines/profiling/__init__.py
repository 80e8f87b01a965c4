"""What stands in a table: a profile of its columns, and the experiment file that follows."""
