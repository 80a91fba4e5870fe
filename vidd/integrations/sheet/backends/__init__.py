"""Where a sheet is stored."""
