"""One folder per outside system: its account, API client, errors, source, step and publisher."""
