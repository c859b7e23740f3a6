"""Small apps with their tests, as users of the fixtures write them; run with the suite, quoted in the documentation."""
