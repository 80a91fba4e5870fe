"""vidd.toml: its schema, the types of its values, secrets and templates."""
