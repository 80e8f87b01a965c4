"""Files of every known format, read block by block into Arrow."""
