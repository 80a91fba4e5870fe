"""The stores of jobs, steps, publications, talks and flags: memory, SQLite, MongoDB."""
