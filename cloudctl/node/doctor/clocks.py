"""Whether the machine's clock is right: as the kernel says, and as the programs say that keep it."""

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from .finding import Finding, Status, finding

MAX_OFFSET = 0.1  # s; advice is judged by the clocks of vehicles, and a green's end by tenths of a second
TIMEOUT = 5.0  # s for a program to answer
STA_UNSYNC = 0x0040  # adjtimex(2): no program says that it keeps the clock
TIME_ERROR = 5  # adjtimex(2): what it returns for a clock that is not kept
REMEDY = "keep it by NTP or PTP: apt-get install chrony, or timedatectl set-ntp true"


class _Timex(ctypes.Structure):
    """`struct timex` of adjtimex(2), Linux; `modes` of 0 only reads."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),  # us
        ("esterror", ctypes.c_long),  # us
        ("status", ctypes.c_int),
        ("rest", ctypes.c_long * 40),
    )


def clock_findings() -> Iterator[Finding]:
    """Yield what can be found of the clock; programs that are not there are left out."""
    yield from _kernel()
    yield from _chrony()
    yield from _timedatectl()
    yield from _precision_time()


def _kernel() -> Iterator[Finding]:
    if not sys.platform.startswith("linux"):
        return

    timex = _Timex()
    state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))
    if state < 0:
        value = f"cannot be read: {os.strerror(ctypes.get_errno())}"
        yield Finding("clock", Status.WARN, value, "must be kept by NTP or PTP", REMEDY)
        return

    kept = state != TIME_ERROR and not timex.status & STA_UNSYNC
    value = f"kept, at most {timex.maxerror / 1e6:.3f} s off" if kept else "not kept by anything"
    yield finding("clock", kept, value, "must be kept by NTP or PTP", REMEDY, Status.WARN)


def _chrony() -> Iterator[Finding]:
    text = _said("chronyc", "-c", "tracking")
    if text is None:
        return

    fields = text.split(",")
    try:
        offset, leap = float(fields[4]), fields[13].strip()
    except (IndexError, ValueError):
        rule = "chronyc tracking must answer"
        yield Finding("clock, by chrony", Status.WARN, text[:60] or "no answer", rule, "systemctl start chrony")
        return

    good = abs(offset) <= MAX_OFFSET and leap != "Not synchronised"
    value = f"{offset:+.6f} s, {leap.lower()}"
    yield finding("clock, by chrony", good, value, f"at most {MAX_OFFSET} s off, synchronised", "see chronyc sources")


def _timedatectl() -> Iterator[Finding]:
    text = _said("timedatectl", "show", "--property=NTPSynchronized", "--value")
    if text in ("yes", "no"):
        rule = "yes, where nothing else keeps the clock"
        yield finding("clock, by timedatectl", text == "yes", text, rule, REMEDY, Status.WARN)


def _precision_time() -> Iterator[Finding]:
    """Yield how far PTP says to be from its master, where there is a PTP clock and pmc to ask."""
    if not list(Path("/dev").glob("ptp*")):
        return

    text = _said("pmc", "-u", "-b", "0", "GET CURRENT_DATA_SET")
    offsets = [line.split()[1] for line in (text or "").splitlines() if line.split()[:1] == ["offsetFromMaster"]]
    if offsets:
        seconds = float(offsets[0]) / 1e9
        rule = f"at most {MAX_OFFSET} s from its master"
        yield finding("clock, by PTP", abs(seconds) <= MAX_OFFSET, f"{seconds:+.9f} s", rule, "see pmc, phc2sys")


def _said(program: str, *words: str) -> str | None:
    """Return what a program prints, stripped; None where it is not there or fails."""
    path = shutil.which(program)
    if path is None:
        return None

    try:
        done = subprocess.run([path, *words], capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None

    return done.stdout.strip() if done.returncode == 0 else None
