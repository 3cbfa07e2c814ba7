"""What every compatibility test stands on: servers to talk to, and the bytes to say."""
