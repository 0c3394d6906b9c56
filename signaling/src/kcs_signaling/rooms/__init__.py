"""The meeting room as a replica sees it: pure state, and who may do what in it."""
