"""The signaling service: people come in by Socket.IO and REST, meetings are placed on SFU nodes."""
