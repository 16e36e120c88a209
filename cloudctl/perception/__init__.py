"""Perception in the words of other standards (ETSI TS 103 324 CPM, YD/T 3709 RSM, SAE J3224 SDSM) -> our objects: what
`Gateway.cpm`, `Gateway.rsm` and `Gateway.sdsm` send. Each standard has a module; `objects` has what they share.
"""
