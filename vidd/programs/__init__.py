"""A user's program: its options, progress lines, exit codes and expected outputs."""
