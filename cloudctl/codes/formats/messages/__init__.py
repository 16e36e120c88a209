"""What MAP messages of SAE J2735 and YD/T 3709 share: lane types, limits, bit strings, the tree of a message."""
