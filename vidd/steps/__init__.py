"""Steps that belong to no outside system."""
