"""What the services share: ids, domain events, the node's control API, tickets and placement.

Nothing here imports a service; every service may import from here.
"""
