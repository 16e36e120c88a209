"""The commands of the command line, by what they are about; what each does lives in the module it names."""
