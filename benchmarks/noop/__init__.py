"""Models without HTTP, one per framework: no cost but the framework's."""
