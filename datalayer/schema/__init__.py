"""What a database is made of: read it, derive it for PostgreSQL, create it, check it, back it up.

Knows SQL and the engine below; never knows models or repositories.
"""
