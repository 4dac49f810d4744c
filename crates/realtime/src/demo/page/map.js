// The map: the ground is drawn when the view changes, everything that lives on it in every frame.
const EDGE = 46; // metres over which the sheet fades into the page
const LABEL_FONT = '500 10.5px system-ui, sans-serif';

class Sheet {
  constructor(map, under, ground) {
    Object.assign(this, {map, under, layers: {}, view: null, target: null, isFree: false, padding: [60, 60, 60, 60], changed: true});
    for (const [name, shapes] of Object.entries(ground.layers)) {
      const path = this.layers[name] = new Path2D();
      for (const shape of shapes) for (const ring of [shape].flat()) {
        decoded(ring, 1e6).forEach(([x, y], index) => index ? path.lineTo(x, y) : path.moveTo(x, y));
      }
    }
    this.water = seas(ground.layers.coast.map((line) => decoded(line, 1e6)));
    this.labels = ground.labels.map(([name, line]) => ({name, runs: straightRuns(decoded(line, 1e6))})).filter(({runs}) => runs.length);
    // The extract's own frame.
    const [west, north] = plane(60.17911, 24.93518), [east, south] = plane(60.16416, 24.95341);
    this.frame = [west, north, east, south];
    this.listen();
    new ResizeObserver(() => this.resize()).observe(map);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.colours());
    this.colours();
    this.resize();
  }
  colours() {
    const style = getComputedStyle(document.documentElement);
    this.ink = new Proxy({}, {get: (known, name) => known[name] ??= style.getPropertyValue('--' + name).trim()});
    this.changed = true;
  }
  resize() {
    this.ratio = Math.min(2, devicePixelRatio || 1);
    for (const canvas of [this.map, this.under]) {
      canvas.width = Math.round(canvas.clientWidth * this.ratio);
      canvas.height = Math.round(canvas.clientHeight * this.ratio);
    }
    this.width = this.map.clientWidth; this.height = this.map.clientHeight;
    this.changed = true;
    if (this.wanted) { this.target = null; this.view = null; this.follow(this.wanted); }
  }

  // --- the view: the centre in metres, and pixels per metre

  fitted([west, north, east, south]) {
    const [top, right, bottom, left] = this.padding, width = Math.max(120, this.width - left - right), height = Math.max(120, this.height - top - bottom);
    const scale = clamp(Math.min(width / Math.max(1, east - west), height / Math.max(1, south - north)), 0.2, 1.9);
    const fit = {scale, x: (west + east) / 2 + (right - left) / 2 / scale, y: (north + south) / 2 + (bottom - top) / 2 / scale};
    // No empty table beside the sheet where the sheet could lie.
    const [first, , last] = this.frame, half = this.width / 2 / scale;
    if ((last - first) * scale > this.width - left) fit.x = clamp(fit.x, Math.min(fit.x, first + half - left / scale), last - half);
    return fit;
  }
  // Shows a rectangle, until somebody moves the map by hand. Small changes move nothing: a map that never rests is hard to read.
  follow(box, force = false) {
    this.wanted = box;
    if (!this.width || this.isFree) return;
    const fit = this.fitted(box), held = this.target;
    const is_near = held && Math.abs(Math.log(fit.scale / held.scale)) < 0.28 && this.holds(box, held);
    if (!is_near || force) this.target = fit;
    this.view ??= {...this.target};
  }
  holds([west, north, east, south], view) {
    const [top, right, bottom, left] = this.padding, slack = 0.55;
    const [x0, y0] = this.screen([west, north], view), [x1, y1] = this.screen([east, south], view);
    return x0 >= left * slack && y0 >= top * slack && x1 <= this.width - right * slack && y1 <= this.height - bottom * slack;
  }
  screen([x, y], view = this.view) { return [(x - view.x) * view.scale + this.width / 2, (y - view.y) * view.scale + this.height / 2]; }
  ground(x, y) { const {view} = this; return [(x - this.width / 2) / view.scale + view.x, (y - this.height / 2) / view.scale + view.y]; }
  get visible() { const [a, b] = [this.ground(0, 0), this.ground(this.width, this.height)]; return [...a, ...b]; }
  move(dx, dy) { this.free(); this.view.x -= dx / this.view.scale; this.view.y -= dy / this.view.scale; this.settle(); }
  zoom(factor, x = this.width / 2, y = this.height / 2) {
    this.free();
    const before = this.ground(x, y);
    this.view.scale = clamp(this.view.scale * factor, 0.25, 4);
    const after = this.ground(x, y);
    this.view.x += before[0] - after[0]; this.view.y += before[1] - after[1];
    this.settle();
  }
  settle() {
    const [west, north, east, south] = this.frame;
    this.view.x = clamp(this.view.x, west, east); this.view.y = clamp(this.view.y, north, south);
    this.target = {...this.view}; this.changed = true;
  }
  free() { this.isFree = true; this.onFree(true); }
  recentre() { this.isFree = false; this.onFree(false); if (this.wanted) this.follow(this.wanted, true); }
  onFree() {}

  listen() {
    const held = new Map(), {map} = this;
    map.addEventListener('pointerdown', (event) => { map.setPointerCapture(event.pointerId); held.set(event.pointerId, event); map.classList.add('held'); });
    map.addEventListener('pointermove', (event) => {
      const before = held.get(event.pointerId);
      if (!before || !this.view) return;
      const other = [...held.values()].find((pointer) => pointer.pointerId !== event.pointerId);
      if (other) {
        const [ox, oy] = [other.offsetX, other.offsetY];
        const factor = Math.hypot(event.offsetX - ox, event.offsetY - oy) / (Math.hypot(before.offsetX - ox, before.offsetY - oy) || 1);
        this.zoom(factor, (event.offsetX + ox) / 2, (event.offsetY + oy) / 2);
      } else this.move(event.offsetX - before.offsetX, event.offsetY - before.offsetY);
      held.set(event.pointerId, event);
    });
    const release = (event) => { held.delete(event.pointerId); if (!held.size) map.classList.remove('held'); };
    map.addEventListener('pointerup', release);
    map.addEventListener('pointercancel', release);
    map.addEventListener('wheel', (event) => { event.preventDefault(); if (this.view) this.zoom(2 ** (-event.deltaY / 400), event.offsetX, event.offsetY); }, {passive: false});
    map.addEventListener('keydown', (event) => {
      const step = 70, keys = {ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step], ArrowDown: [0, -step]};
      if (!this.view) return;
      if (keys[event.key]) this.move(...keys[event.key]);
      else if (event.key === '+' || event.key === '=') this.zoom(1.25);
      else if (event.key === '-') this.zoom(0.8);
      else if (event.key === '0') this.recentre();
      else return;
      event.preventDefault();
    });
  }

  // One frame; `draw` draws what lives on the map, in pixels. Whether the view is another than in the frame before.
  frameAt(elapsed, draw) {
    if (!this.view || !this.width) return;
    const {view, target} = this;
    if (target && !this.isFree) {
      const share = stillness.matches ? 1 : 1 - Math.exp(-elapsed / 260);
      const far = Math.abs(target.scale / view.scale - 1) > 0.002 || distance([view.x, view.y], [target.x, target.y]) * view.scale > 0.4;
      if (far) {
        view.scale *= (target.scale / view.scale) ** share;
        view.x = mix(view.x, target.x, share); view.y = mix(view.y, target.y, share);
        this.changed = true;
      }
    }
    if (this.changed) { this.drawGround(); this.changed = false; }
    const context = this.map.getContext('2d');
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    draw(context);
  }

  drawGround() {
    const {ink, view, layers, ratio} = this, context = this.under.getContext('2d', {alpha: false});
    const [west, north, east, south] = this.frame;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = ink.paper;
    context.fillRect(0, 0, this.under.width, this.under.height);
    const k = ratio * view.scale;
    context.setTransform(k, 0, 0, k, ratio * this.width / 2 - k * view.x, ratio * this.height / 2 - k * view.y);
    context.save();
    context.beginPath(); context.rect(west, north, east - west, south - north); context.clip();
    const fill = (path, colour) => { context.fillStyle = colour; context.fill(path, 'evenodd'); };
    const line = (path, colour, metres, least, dash = []) => {
      context.strokeStyle = colour; context.lineWidth = Math.max(metres, least / view.scale);
      context.setLineDash(dash.map((length) => length / view.scale)); context.stroke(path); context.setLineDash([]);
    };
    context.lineJoin = context.lineCap = 'round';
    fill(new Path2D(`M${west} ${north}H${east}V${south}H${west}Z`), ink.land);
    for (const shape of this.water) fill(shape, ink.water);
    fill(layers.green, ink.green);
    fill(layers.water, ink.water);
    fill(layers.square, ink.square);
    fill(layers.pier, ink.land);
    context.lineCap = 'butt';
    line(layers.path, ink.path, 1.4, 0.7);
    line(layers.rail, ink.rail, 1.2, 0.6);
    context.lineCap = 'round';
    line(layers.lane, ink['street-edge'], 5.6, 2.2);
    line(layers.street, ink['street-edge'], 9.6, 3.4);
    line(layers.major, ink['street-edge'], 12.6, 4.4);
    line(layers.lane, ink.street, 4, 1.2);
    line(layers.street, ink.street, 7.8, 2.2);
    line(layers.major, ink.street, 10.6, 3);
    fill(layers.building, ink.building);
    line(layers.building, ink['building-edge'], 0, 0.8);
    context.lineCap = 'butt';
    line(layers.tram, ink.rail, 0.5, 0.6, [5, 4]);
    context.restore();
    this.drawLabels(context);
    this.fade(context);
  }
  // The sheet ends softly.
  fade(context) {
    const [west, north, east, south] = this.frame, {paper} = this.ink, clear = `color-mix(in srgb, ${paper} 1%, transparent)`;
    const strips = [[west, north, EDGE, south - north, 1, 0], [east, north, -EDGE, south - north, 1, 0], [west, north, east - west, EDGE, 0, 1], [west, south, east - west, -EDGE, 0, 1]];
    for (const [x, y, width, height, dx, dy] of strips) {
      const gradient = context.createLinearGradient(x, y, x + dx * width, y + dy * height);
      gradient.addColorStop(0, paper);
      for (const stop of [0.25, 0.5, 0.75]) gradient.addColorStop(stop, `color-mix(in srgb, ${paper} ${Math.round(100 * (1 - stop) ** 1.6)}%, transparent)`);
      gradient.addColorStop(1, clear);
      context.fillStyle = gradient;
      const grown = 2; // covers the seam
      context.fillRect(Math.min(x, x + width) - (dx ? grown * (width > 0) : grown), Math.min(y, y + height) - (dy ? grown * (height > 0) : grown),
        Math.abs(width) + (dx ? grown : 2 * grown), Math.abs(height) + (dy ? grown : 2 * grown));
    }
  }
  drawLabels(context) {
    const {ink, view, ratio} = this, taken = [];
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.font = LABEL_FONT; context.textAlign = 'center'; context.textBaseline = 'middle'; context.lineJoin = 'round';
    if ('letterSpacing' in context) context.letterSpacing = '0.35px';
    for (const {name, runs} of this.labels) {
      const width = context.measureText(name).width;
      for (const [from, to] of runs) {
        const [a, b] = [this.screen(from), this.screen(to)];
        if (distance(a, b) < width + 14) break;
        const middle = [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
        if (middle[0] < 0 || middle[1] < 0 || middle[0] > this.width || middle[1] > this.height) continue;
        let angle = Math.atan2(b[1] - a[1], b[0] - a[0]);
        if (angle > Math.PI / 2) angle -= Math.PI; else if (angle <= -Math.PI / 2) angle += Math.PI;
        // The text as a row of discs, which must not touch another's.
        const discs = Array.from({length: Math.ceil(width / 14) + 1}, (_, index) => {
          const along = -width / 2 + index * 14;
          return [middle[0] + along * Math.cos(angle), middle[1] + along * Math.sin(angle)];
        });
        if (discs.some((disc) => taken.some((other) => distance(disc, other) < 19))) continue;
        taken.push(...discs);
        context.save();
        context.translate(...middle); context.rotate(angle);
        context.strokeStyle = ink.halo; context.lineWidth = 3.2; context.strokeText(name, 0, 0.5);
        context.fillStyle = ink.label; context.fillText(name, 0, 0.5);
        context.restore();
        break;
      }
    }
    if ('letterSpacing' in context) context.letterSpacing = '0px';
    const k = ratio * view.scale;
    context.setTransform(k, 0, 0, k, ratio * this.width / 2 - k * view.x, ratio * this.height / 2 - k * view.y);
  }
}

// Pieces of a line that hardly turn, longest first.
function straightRuns(line) {
  const runs = [];
  let from = 0;
  const bearing = (a, b) => Math.atan2(b[1] - a[1], b[0] - a[0]) * 180 / Math.PI;
  for (let index = 1; index < line.length; index++) {
    const next = line[index + 1];
    if (next && Math.abs(turn(bearing(line[from], line[index]), bearing(line[index], next))) < 7) continue;
    runs.push([line[from], line[index]]);
    from = index;
  }
  return runs.sort((a, b) => distance(...b) - distance(...a));
}

// The sea lies to the right of a coastline, and here to the east of all of them: close them there.
function seas(lines) {
  const far = 1300;
  return lines.map((line) => {
    const path = new Path2D();
    line.forEach(([x, y], index) => index ? path.lineTo(x, y) : path.moveTo(x, y));
    path.lineTo(far, line.at(-1)[1]); path.lineTo(far, line[0][1]); path.closePath();
    return path;
  });
}

// --- what lives on the map, in pixels

function stroke(context, points, colour, width, dash = []) {
  if (points.length < 2) return;
  context.beginPath();
  points.forEach(([x, y], index) => index ? context.lineTo(x, y) : context.moveTo(x, y));
  context.lineJoin = context.lineCap = 'round';
  context.strokeStyle = colour; context.lineWidth = width; context.setLineDash(dash); context.stroke(); context.setLineDash([]);
}

// A rider: an arrow while they move, a disc while they stand.
function drawRider(context, ink, [x, y], {heading, moving}, colour, size, isHollow = false) {
  context.save();
  context.translate(x, y);
  context.shadowColor = '#0000003d'; context.shadowBlur = 6; context.shadowOffsetY = 1.5;
  context.beginPath();
  if (moving) {
    context.rotate(heading * Math.PI / 180);
    context.moveTo(0, -size * 1.28); context.lineTo(size * 0.92, size * 0.86);
    context.quadraticCurveTo(0, size * 0.34, -size * 0.92, size * 0.86); context.closePath();
  } else context.arc(0, 0, size * 0.78, 0, 7);
  context.lineJoin = 'round';
  context.strokeStyle = ink.card; context.lineWidth = size * 0.5; context.stroke();
  context.shadowColor = 'transparent';
  context.fillStyle = isHollow ? ink.card : colour; context.fill();
  if (isHollow) { context.strokeStyle = colour; context.lineWidth = 2; context.stroke(); }
  context.restore();
}

function drawText(context, ink, text, x, y, {align = 'center', font = '600 11.5px system-ui, sans-serif', colour = ink.ink} = {}) {
  context.font = font; context.textAlign = align; context.textBaseline = 'middle'; context.lineJoin = 'round';
  context.strokeStyle = ink.halo; context.lineWidth = 4; context.strokeText(text, x, y);
  context.fillStyle = colour; context.fillText(text, x, y);
}

// A kitchen: a disc with a pot's lid; a door: a pin with a house.
function drawKitchen(context, ink, [x, y], isBig) {
  const r = isBig ? 10 : 4.2;
  context.save();
  context.shadowColor = '#00000030'; context.shadowBlur = isBig ? 6 : 3; context.shadowOffsetY = 1;
  context.beginPath(); context.arc(x, y, r, 0, 7); context.fillStyle = ink.card; context.fill();
  context.shadowColor = 'transparent';
  context.strokeStyle = ink.ink; context.lineWidth = isBig ? 1.7 : 1.4; context.stroke();
  if (isBig) {
    context.beginPath(); context.arc(x, y + 2.2, 4.6, Math.PI, 0); context.closePath(); context.fillStyle = ink.ink; context.fill();
    context.fillRect(x - 5.6, y + 3.1, 11.2, 1.3); context.beginPath(); context.arc(x, y - 3.1, 1.1, 0, 7); context.fill();
  }
  context.restore();
}

function drawDoor(context, ink, [x, y]) {
  context.save();
  context.translate(x, y);
  context.shadowColor = '#00000038'; context.shadowBlur = 7; context.shadowOffsetY = 2;
  context.beginPath(); context.arc(0, -19, 11, 0.62 * Math.PI + 0.25, 2.38 * Math.PI - 0.25); context.lineTo(0, 0); context.closePath();
  context.fillStyle = ink.accent; context.fill();
  context.shadowColor = 'transparent';
  context.fillStyle = ink.card;
  context.beginPath(); context.moveTo(0, -25.5); context.lineTo(6, -20); context.lineTo(4.2, -20); context.lineTo(4.2, -14.4);
  context.lineTo(-4.2, -14.4); context.lineTo(-4.2, -20); context.lineTo(-6, -20); context.closePath(); context.fill();
  context.restore();
}
