"""The languages in which clients speak to a room: one module each, one declaration per event."""
