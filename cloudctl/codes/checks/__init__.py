"""The checks of a digital code, one file for each subject; `validation` runs them all."""
