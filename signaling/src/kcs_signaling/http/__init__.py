"""REST, the pages of the web client, and what operations asks: all plain HTTP of signaling."""
