// Which part of the world is on the screen: metres east and north <-> pixels, and how mouse, fingers and keys move it.

const MIN_SCALE = 0.004; // px per m: a whole country
const MAX_SCALE = 60;
const WHEEL_STEP = 0.0015;
const DRAG_PX = 4; // a press that moves less is a click

export class Camera {
  /**
   * `onMove()` is called after each move, `onTake()` before one that the user makes, `onClick(found)` for a press that moves
   * nothing, with what `find(px, py)` has found under it as it was pressed: by its release the picture may have moved on.
   */
  constructor(canvas, onMove, onTake, find, onClick) {
    this.canvas = canvas;
    this.x = 0;
    this.y = 0;
    this.scale = 5;
    this.onMove = onMove;
    this.onTake = onTake;
    this.find = find;
    this.onClick = onClick;
    this.pressed = null;
    this.pointers = new Map();
    this.dragged = 0;
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.press(event));
    canvas.addEventListener("pointermove", (event) => this.drag(event));
    canvas.addEventListener("pointerup", (event) => this.release(event, true));
    canvas.addEventListener("pointercancel", (event) => this.release(event, false));
  }

  get width() {
    return this.canvas.clientWidth;
  }

  get height() {
    return this.canvas.clientHeight;
  }

  toScreen(x, y) {
    return [(x - this.x) * this.scale + this.width / 2, (this.y - y) * this.scale + this.height / 2];
  }

  toWorld(px, py) {
    return [(px - this.width / 2) / this.scale + this.x, this.y - (py - this.height / 2) / this.scale];
  }

  /** Return the part of the world that is on the screen, with `margin` px around it. */
  bounds(margin = 0) {
    const halfWidth = (this.width / 2 + margin) / this.scale;
    const halfHeight = (this.height / 2 + margin) / this.scale;
    return { left: this.x - halfWidth, right: this.x + halfWidth, bottom: this.y - halfHeight, top: this.y + halfHeight };
  }

  /** Set a context's transform so that metres can be drawn in, from an origin in the world. */
  apply(context, ratio, east, north) {
    const scale = this.scale * ratio;
    const left = (east - this.x) * scale + (this.width * ratio) / 2;
    const top = (this.y - north) * scale + (this.height * ratio) / 2;
    context.setTransform(scale, 0, 0, -scale, left, top);
  }

  fit({ left, right, bottom, top }, margin = 24) {
    const width = Math.max(right - left, 1);
    const height = Math.max(top - bottom, 1);
    const scale = Math.min((this.width - 2 * margin) / width, (this.height - 2 * margin) / height);
    this.move((left + right) / 2, (bottom + top) / 2, scale);
  }

  move(x, y, scale = this.scale) {
    this.x = x;
    this.y = y;
    this.scale = Math.min(Math.max(scale, MIN_SCALE), MAX_SCALE);
    this.onMove();
  }

  /** Zoom as the user asks, around a place on the screen. */
  zoom(factor, px = this.width / 2, py = this.height / 2) {
    this.onTake();
    const [x, y] = this.toWorld(px, py);
    const scale = Math.min(Math.max(this.scale * factor, MIN_SCALE), MAX_SCALE);
    const part = this.scale / scale;
    this.move(x + (this.x - x) * part, y + (this.y - y) * part, scale);
  }

  pan(px, py) {
    this.onTake();
    this.move(this.x - px / this.scale, this.y + py / this.scale);
  }

  wheel(event) {
    event.preventDefault();
    const box = this.canvas.getBoundingClientRect();
    this.zoom(Math.exp(-event.deltaY * WHEEL_STEP), event.clientX - box.left, event.clientY - box.top);
  }

  press(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, [event.clientX, event.clientY]);
    if (this.pointers.size > 1) return;
    this.dragged = 0;
    const box = this.canvas.getBoundingClientRect();
    this.pressed = this.find(event.clientX - box.left, event.clientY - box.top);
  }

  drag(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const now = [event.clientX, event.clientY];
    this.dragged += Math.hypot(now[0] - before[0], now[1] - before[1]);
    if (this.pointers.size === 1) {
      if (this.dragged > DRAG_PX) this.pan(now[0] - before[0], now[1] - before[1]);
    } else {
      const other = [...this.pointers].find(([id]) => id !== event.pointerId)[1];
      const box = this.canvas.getBoundingClientRect();
      const factor = Math.hypot(now[0] - other[0], now[1] - other[1]) / Math.max(Math.hypot(before[0] - other[0], before[1] - other[1]), 1);
      this.zoom(factor, (now[0] + other[0]) / 2 - box.left, (now[1] + other[1]) / 2 - box.top);
    }
    this.pointers.set(event.pointerId, now);
  }

  release(event, counts) {
    this.pointers.delete(event.pointerId);
    if (!counts || this.dragged > DRAG_PX || this.pointers.size) return;
    this.onClick(this.pressed);
  }
}
