"""Real servers for tests: each in a temporary directory, on free loopback ports, and ended with the test."""
