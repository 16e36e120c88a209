"""From bytes to checked messages in the order of their events, and the reason for everything that is refused."""
