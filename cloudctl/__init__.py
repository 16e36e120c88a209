"""Vehicle-road cloud control: RSU streams in, fused tracks and digital codes inside, advisories out."""

from . import one_tree
from .errors import CloudctlError

__all__ = ["CloudctlError", "__version__"]
__version__ = "0.1.0"

one_tree.guard()
