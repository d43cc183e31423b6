"""Users in files, which are read anew when they change."""
