"""Living with a map: what was imported before and what is imported now become one code with the ids it had, and a list
of what changed.

Bringing in:  take      one import into a folder, whole
              folder    the files, the registry, the history
              likeness  which intersection is which
Carrying:     carry     one intersection from its last import to its next revision
              match     which lane, movement, group ... is which
              rename    the ids
              settle    rounding is no change
              merge     what was written by hand stays;  rules: where it is on the road
Reporting:    changes   what a person would say changed, of two codes made comparable (compared) in words
Loading:      together  codes that are used together
"""
