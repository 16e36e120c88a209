"""Files to run a node elsewhere: a systemd unit, a Dockerfile, Prometheus and Grafana."""

from pathlib import Path

DEPLOY = Path(__file__).resolve().parent / "deploy"
