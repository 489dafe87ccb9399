"""From a live PostgreSQL schema to the wanted one: what differs, which steps lead there, what they lock."""
