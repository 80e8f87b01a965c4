"""Pictures of answers, searches and comparisons, by matplotlib."""
