"""What to do: pure functions of what was seen and of the time. They call nobody."""
