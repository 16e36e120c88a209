"""Everything that touches a socket, a broker or a disk. Nothing here knows the engine."""
