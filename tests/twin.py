"""The tracker's kernels in plain NumPy, written to be read: full matrices, no packing, libm's functions. The C must
agree with these.

A model is (x, p): mean float64[4 or 5] (x, y, vx, vy, turn rate) and covariance float64[n, n]. An interacting pair is
(straight, turning, turns) with the probability of the turning model.
"""

import numpy as np

RATE_FADES, RATE_MOST_VARIANCE, TURN_MOST = 1.5, 0.64, 1.2
LEAST, MOST = 1e-6, 1e4


def acceleration_noise(n: int, dt: float, q: float) -> np.ndarray:
    """White acceleration of spectral density q over dt."""
    out = np.zeros((n, n))
    for i in (0, 1):
        out[i, i], out[i, i + 2], out[i + 2, i], out[i + 2, i + 2] = q * dt**3 / 3, q * dt**2 / 2, q * dt**2 / 2, q * dt
    return out


def straight(x: np.ndarray, p: np.ndarray, dt: float, q: float) -> tuple[np.ndarray, np.ndarray]:
    f = np.eye(4)
    f[0, 2] = f[1, 3] = dt
    return f @ x, f @ p @ f.T + acceleration_noise(4, dt, q)


def arc(x: np.ndarray, dt: float, rate: float, fade: float) -> np.ndarray:
    """The state after dt on a circle at `rate`; the rate itself fades."""
    a = rate * dt
    s = dt * np.sinc(a / np.pi)
    c = dt * (1 - np.cos(a)) / a if abs(a) > 1e-6 else dt * a / 2
    rotation = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    place = x[:2] + np.array([[s, -c], [c, s]]) @ x[2:4]
    return np.concatenate([place, rotation @ x[2:4], [fade * rate]])


def turning(x: np.ndarray, p: np.ndarray, dt: float, q: float, q_rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Extended Kalman prediction; the derivatives are taken numerically."""
    fade = 1 / (1 + dt / RATE_FADES)
    rate = x[4] if abs(x[4] * dt) <= TURN_MOST else np.sign(x[4]) * TURN_MOST / dt
    f, h = np.zeros((5, 5)), 1e-5
    for k in range(5):
        up, down = np.append(x[:4], rate), np.append(x[:4], rate)
        up[k] += h
        down[k] -= h
        f[:, k] = (arc(up, dt, up[4], fade) - arc(down, dt, down[4], fade)) / (2 * h)
    out = f @ p @ f.T + acceleration_noise(5, dt, q)
    out[4, 4] = min(out[4, 4] + q_rate * dt, RATE_MOST_VARIANCE)
    return arc(x, dt, rate, fade), out


def blend(a: tuple, b: tuple, w: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of a mixture of two models on their four shared states."""
    xa, xb, pa, pb = a[0][:4], b[0][:4], a[1][:4, :4], b[1][:4, :4]
    x = (1 - w) * xa + w * xb
    p = (1 - w) * (pa + np.outer(xa - x, xa - x)) + w * (pb + np.outer(xb - x, xb - x))
    return x, p


def step(pair: tuple, dt: float, motion: tuple) -> tuple:
    """Mix, then predict each model (Blom and Bar-Shalom 1988); motion is (straight, turning, rate, enter, leave)."""
    (one, two, turns), (q, q_turn, q_rate, enter, leave) = pair, motion
    h = (enter + leave) * dt
    change = 1 - 1 / (1 + h + h * h / 2)
    begin, end = change * enter / (enter + leave), change * leave / (enter + leave)
    after = turns * (1 - end) + (1 - turns) * begin
    a = blend(one, two, turns * end / (1 - after))
    w = (1 - turns) * begin / after
    shared = blend(two, one, w)
    x, p = np.append(shared[0], two[0][4]), np.zeros((5, 5))
    p[:4, :4] = shared[1]
    p[:4, 4] = p[4, :4] = (1 - w) * two[1][:4, 4]
    p[4, 4] = two[1][4, 4]
    return straight(*a, dt, q), turning(x, p, dt, q_turn, q_rate), after


def update_one(x: np.ndarray, p: np.ndarray, h: np.ndarray, z: np.ndarray, r: np.ndarray) -> tuple:
    """Kalman update with z = h x + noise of covariance r: the model after it, and its likelihood up to 2 pi."""
    s = h @ p @ h.T + r
    v, gain = z - h @ x, p @ h.T @ np.linalg.inv(s)
    after = p - gain @ s @ gain.T
    np.fill_diagonal(after, np.clip(np.diag(after), LEAST, MOST))
    likelihood = np.exp(-0.5 * v @ np.linalg.solve(s, v)) / np.sqrt(np.linalg.det(s))
    return (x + gain @ v, after), likelihood


def update(pair: tuple, h: np.ndarray, z: np.ndarray, r: np.ndarray) -> tuple:
    """Update both models with z of h (2 x 4) and weigh them by their likelihoods."""
    one, two, turns = pair
    one, a = update_one(*one, h, z, r)
    two, b = update_one(*two, np.column_stack([h, np.zeros(2)]), z, r)
    odds = turns * b / ((1 - turns) * a) if a > 0 else np.inf
    return one, two, float(np.clip(odds / (1 + odds) if np.isfinite(odds) else 1.0, 0.001, 0.999))


def intersect(pair: tuple, z: np.ndarray, r: np.ndarray) -> tuple:
    """Covariance intersection of positions: ours grows by 1 / w, theirs by 1 / (1 - w) (Niehsen 2002)."""
    mean = blend(*pair)
    ours, theirs = np.trace(mean[1][:2, :2]), np.trace(r)
    w = np.clip(theirs / (ours + theirs), 0.3, 0.95)
    wide = []
    for x, p in pair[:2]:
        d = np.eye(len(x))
        d[0, 0] = d[1, 1] = w**-0.5
        wide.append((x, d @ p @ d))
    return update((*wide, pair[2]), np.eye(2, 4), z, r / (1 - w))
