"""The live page: what it shows of a running node or of a recording, the format it is sent in, and the page itself
(`page/`).

`columns` is the format, `scene` the drawing of an intersection, `viewers` what waits for each open page, `observer`
what is collected each step,
`reasons` why a vehicle gets no advice, `player` the recorded source, `routes` the HTTP side.
"""
