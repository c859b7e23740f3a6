"""Clients of others, unmodified: executed by an interpreter that has them, they import nothing of the package."""
