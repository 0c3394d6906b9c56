"""What people do in meetings, whatever dialect they speak, and what a replica does for them.

From the outside in: `rooms` (joining and leaving) and `media` (transports, producers, consumers)
do what a dialect asks; `registry` follows the bus and tells the peers; `presence` runs by itself;
`nodes` and `guard` are the way to SFU nodes and to Redis.
"""
