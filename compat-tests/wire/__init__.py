"""Recorded conversations with Apache ZooKeeper, replayed over real sockets; and clients that misbehave."""
