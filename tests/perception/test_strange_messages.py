"""Messages of the three standards with anything in any field: each gives a frame or an error in words, nothing else."""

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standard_objects import T, cpm, cpm_object, detected, participant, rsm, sdsm

from cloudctl.client import pack
from cloudctl.codes.findings import CodeError
from cloudctl.perception.reading import Standard, read_perception
from cloudctl.schema import ObjectClass

FULL_CPM = cpm(
    T,
    [
        cpm_object(
            number,
            velocity={"polarVelocity": {"velocityMagnitude": {"speedValue": 5}, "velocityDirection": {"value": 9}}},
            angles={"zAngle": {"value": 5}},
            classification=[{"objectClass": {"groupSubClass": {"clusterProfiles": "0100"}}, "confidence": 1}],
            lowerTriangularCorrelationMatrices=[{"componentsIncludedIntheMatrix": "1100000000000", "matrix": [[1]]}],
            objectPerceptionQuality=3,
        )
        for number in (1, 2)
    ],
)
FULL_RSM = rsm([participant(k, motionCfd={"speedCfd": "prec1ms"}, vehicleClass={"classification": 10}) for k in (1, 2)])
FULL_SDSM = sdsm(
    T,
    [
        detected(1, detObjOptData={"detVeh": {"size": {"width": 1, "length": 2}, "height": 3, "vehicleClass": 4}}),
        detected(2, detObjOptData={"detObst": {"obstSize": {"width": 1, "length": 2}}}),
    ],
    offset=60,
)
MESSAGES = {Standard.CPM: FULL_CPM, Standard.RSM: FULL_RSM, Standard.SDSM: FULL_SDSM}

values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=6),
    st.binary(max_size=3),
    st.sampled_from(
        ["unavailable", "9" * 400, "-1", [], {}, [[]], {"a": {"b": []}}, ("x", 1), ("cartesianVelocity", {})]
    ),
)


def places(value: Any, path: tuple = ()) -> list[tuple]:
    """Return the path of every field of a message."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    below = [place for key, item in inner for place in places(item, (*path, key))]
    return [path, *below] if path else below


@pytest.mark.parametrize("standard", list(Standard))
@settings(max_examples=300)
@given(data=st.data())
def test_whatever_stands_anywhere_gives_a_frame_or_an_error_in_words(standard: Standard, data: st.DataObject) -> None:
    message = copy.deepcopy(MESSAGES[standard])
    for _ in range(data.draw(st.integers(1, 3))):
        if not message:
            break
        *path, last = data.draw(st.sampled_from(places(message)))
        holder = message
        for key in path:
            holder = holder[key]
        if data.draw(st.booleans()):
            holder[last] = copy.deepcopy(data.draw(values))
        else:
            del holder[last]
    try:
        frame = read_perception(standard, [message], T)
    except CodeError as error:
        for finding in error.findings:
            assert (finding.rule, finding.remedy) > ("", "")
        return
    for finding in frame.refused:
        assert (finding.rule, finding.remedy) > ("", "")
    if frame.columns is None:
        return
    pack(frame.columns)
    assert np.isfinite([frame.columns["x"], frame.columns["y"]]).all()
    assert all(kind in tuple(ObjectClass) for kind in frame.columns["class"])
    with np.errstate(invalid="ignore"):
        assert not (frame.columns["var_x"] < 0).any()
        assert not (np.hypot(frame.columns["vx"], frame.columns["vy"]) > 16383 * 0.02).any()
