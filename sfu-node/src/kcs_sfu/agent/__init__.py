"""The SFU node: one process that owns mediasoup workers and does what signaling's tickets ask.

From the outside in: `main` (process, signals) -> `http` (control API) -> `operations` (one batch)
-> `node` (rooms, admission, rebuilding) -> `room`, `participant`, `router_span` (one meeting's
media) -> `workers` (processes). Beside that path: `lease` (placement), `reporter` (the bus),
`keys` (ticket keys), `metrics`.
"""
