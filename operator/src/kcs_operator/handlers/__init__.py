"""What is done for an object: fetch, decide (`decisions`), act (`cluster`, placement)."""
