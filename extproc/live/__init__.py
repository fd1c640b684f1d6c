"""Questions to an installation that runs, asked from outside: by `extproc probe`, and by `extproc doctor`."""
