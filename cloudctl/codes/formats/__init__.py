"""Other formats of the same facts: importers, exporters, and the proof that what goes out comes back."""
