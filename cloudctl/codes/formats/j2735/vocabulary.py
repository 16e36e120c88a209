"""What of a J2735 MAP carries nothing about traffic, with the reason."""

from ..messages.names import NO_TRAFFIC

IGNORED = NO_TRAFFIC | {
    "@msgIssueRevision": "counts the sender's messages",
    "@layerType": "the kind of message",
    "@layerID": "the kind of message",
    "dataParameters": "how the map was surveyed and processed",
    "@regionId": "names an extension, as its content does",
    "laneSet@name": "a name for people; the lane's number is kept as its alias",
}
