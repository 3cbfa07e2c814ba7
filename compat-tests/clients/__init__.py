"""Real clients, as their registries ship them, at work against the server."""
