"""An emulator of the watsonx.ai REST API: for tests, for demos, for working offline."""
