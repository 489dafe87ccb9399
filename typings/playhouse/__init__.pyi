"""What datalayer uses of playhouse, which ships without types; checked against peewee 4.5."""
