"""The consolidated file: made from the numbered ones, proved equal to them, and held against a database."""
