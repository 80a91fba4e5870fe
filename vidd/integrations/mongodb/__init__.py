"""MongoDB: the account and its errors."""
