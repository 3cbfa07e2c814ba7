"""Holds a session with an ephemeral node until it is killed: a client that dies without a word."""

import sys
import time

from kazoo.client import KazooClient

client = KazooClient(sys.argv[-1], timeout=float(sys.argv[1]))
client.start()
client.create("/held", ephemeral=True)
print("held by", client.client_id[0], flush=True)
time.sleep(600)
