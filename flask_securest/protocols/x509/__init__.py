"""Client certificates, and the proxies that tell of them."""
