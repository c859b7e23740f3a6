"""Real models on this machine: where they come from, the engine that runs them, the brain that answers with them."""
