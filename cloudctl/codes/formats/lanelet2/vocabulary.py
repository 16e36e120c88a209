"""What of a Lanelet2 map carries nothing about traffic, with the reason."""

BOOKKEEPING = "who edited the map, and when"
IGNORED = {
    **dict.fromkeys(
        ("@version", "@visible", "@timestamp", "@changeset", "@uid", "@user", "@action", "osm@generator", "osm@upload"),
        BOOKKEEPING,
    ),
    **dict.fromkeys(("MetaInfo", "bounds"), "the version and the extent of the map"),
    **dict.fromkeys(
        ("way@name", "way@width", "way@height", "relation@name", "lanelet@road_name"),
        "names and sizes of things that are read by their points",
    ),
    "way@color": "how a marking looks",
    "way@traffic_light_id": "which light the lamps are of: lanelets say for whom it is",
    "relation@fallback": "who yields counts only where no signal decides",
    "relation@road_surface": "the state of the surface",
    "relation@no_issue": "for checks of the map",
}
