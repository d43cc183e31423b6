"""Where accounts live, how they are looked up there, and what tells one from its namesake."""
