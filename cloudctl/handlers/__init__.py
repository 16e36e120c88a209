"""What the engine does with each kind of accepted input: one module for each sender."""
