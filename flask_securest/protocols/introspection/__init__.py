"""What an issuer says of opaque tokens."""
