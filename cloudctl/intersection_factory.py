"""Makes the state of an intersection from its compiled code and the engine's configuration."""

from . import planner
from .codes import CompiledCode
from .fusion import MAX_JUMP_MS, VEHICLE_SOURCE, Fusion, FusionConfig, SourceConfig
from .intersection import IntersectionState
from .metrics import Metrics
from .settings import EngineConfig
from .signals import states
from .signals.quality import SignalQuality


def make_intersection(code: CompiledCode, config: EngineConfig, metrics: Metrics) -> IntersectionState:
    """Return an intersection without tracks, signal states, vehicles or hazards."""
    # Ingest has compared every time stamp with the node's clock, so the tracker may follow a jump of any allowed size.
    fusion = Fusion(FusionConfig(max_tracks=config.max_tracks, jump_ms=MAX_JUMP_MS))
    fusion.add_source(VEHICLE_SOURCE, SourceConfig(kind="cooperative"))

    group_indexes = {int(group): index for index, group in enumerate(code.group_ids)}

    return IntersectionState(
        code=code,
        fusion=fusion,
        advisory_filter=planner.AdvisoryFilter(config.refresh),
        signals=states.Signals.dark(len(group_indexes)),
        gateways=gateways_of(config, code.code.id),
        groups=group_indexes,
        quality=SignalQuality(code.code),
        priority=planner.PriorityRequestServer(settings=config.priority, count=metrics.count),
    )


def gateways_of(config: EngineConfig, intersection: str) -> tuple[str, ...]:
    """Return the names of the gateways that have a roadside unit at an intersection."""
    return tuple(name for name, rsus in config.gateways.items() if intersection in rsus.values())
