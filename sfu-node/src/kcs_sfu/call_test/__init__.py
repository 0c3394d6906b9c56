"""A real call of two bots, as `helm test` holds it.

`python -m kcs_sfu.call_test URL --tokens FILE` needs what `python -m kcs_signaling.testers` writes.

Each bot joins by Socket.IO as browsers do and sends an Opus stream over ICE, DTLS and SRTP to the
SFU node that the meeting got, through the address and port that browsers are told. Packets that
one sends must come out at the other, byte by byte, both ways.

What stands for the browser's WebRTC is a mediasoup worker of the bots' own (`endpoint`): it does
DTLS and SRTP, and a relay in between does the browser's part of ICE, as two mediasoup transports
would both wait for the other to begin. No TURN, no TCP, no video: those it does not try.
"""
