"""What a node sees in the well-known schemas of Foxglove, for other people's viewers: in recordings (`[record]
foxglove`) and over a WebSocket (`[live] foxglove`)."""
