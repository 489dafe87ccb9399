"""From one SQLite schema to another with the rows kept: what differs, what it costs, doing it, proving it."""
