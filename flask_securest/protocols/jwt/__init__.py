"""JSON Web Tokens and their keys, without a request."""
