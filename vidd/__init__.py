"""vidd: an arriving video becomes a published talk, unattended and exactly once."""
