"""What a pipeline of vidd itself has published, as arrivals of another."""
