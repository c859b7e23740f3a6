"""A storm of faults over real sockets: `python -m tests.soak` prints what came of it, the suite runs a short one."""
