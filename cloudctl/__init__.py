"""Vehicle-road cloud control: RSU streams in, fused tracks and digital codes inside, advisories out."""

__version__ = "0.1.0"
