"""Living with a map: what was imported before and what is imported now become one code with the ids it had, and a list of what changed.

`folder.CodeFolder` keeps the files and the registry, `likeness` tells which intersection is which, `match` which entity, `rename`
gives the ids, `settle` takes rounding for no change, `merge` and `rules` keep what was written by hand, `changes` says what changed.
"""
