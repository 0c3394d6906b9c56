"""What speaks to the outside: sockets on one side, SFU nodes on the other."""
