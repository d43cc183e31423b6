"""SQL databases: engines, schemas, and what stores in them have in common."""
