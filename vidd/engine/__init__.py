"""Takes jobs from their arrival to their publication: intake, runner, slots, watchers. Imports ports and model only."""
