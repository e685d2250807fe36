"""Is this folder, on this machine, fit to run a department's node? Looked at from outside, running or not."""
