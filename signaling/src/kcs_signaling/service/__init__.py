"""What people do in meetings, whatever dialect they speak, and what a replica does for them.

From the outside in: `rooms` (joining and leaving), `transports`, `producers`, `consumers` and the
like do what a dialect asks; `registry` has the rooms, `follower` keeps them true by the bus,
`telling` tells their peers; `presence` runs by itself; `nodes` and `guard` are the way to SFU nodes
and to Redis.
"""
