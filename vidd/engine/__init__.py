"""The one path: intake, runner, slots, watchers. Ports and model only."""
