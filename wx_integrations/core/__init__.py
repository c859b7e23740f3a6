"""The REST core: knows watsonx.ai, knows no framework."""
