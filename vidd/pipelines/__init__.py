"""The table of kinds, and how settings become a plan that the engine runs."""
