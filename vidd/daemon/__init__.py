"""The composition root: everything that runs in one daemon is put together here."""
