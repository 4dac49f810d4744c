// Places, lines and cells. The plane is metres east (x) and south (y) of a corner of the city: a map's pixels, scaled.
const METRES_PER_DEGREE = 111195, ORIGIN = [60.18, 24.934];
const SHRINK = Math.cos(ORIGIN[0] * Math.PI / 180);
const plane = (latitude, longitude) =>
  [(longitude - ORIGIN[1]) * METRES_PER_DEGREE * SHRINK, (ORIGIN[0] - latitude) * METRES_PER_DEGREE];
const degrees = (x, y) => [ORIGIN[0] - y / METRES_PER_DEGREE, x / METRES_PER_DEGREE / SHRINK + ORIGIN[1]];
const distance = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]);
const mix = (a, b, share) => a + (b - a) * share;
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
// From one direction to another, degrees, the short way round.
const turn = (from, to) => ((to - from + 540) % 360) - 180;

// Google's encoded polyline, as points of the plane.
function decoded(text, scale = 1e5) {
  const points = [], sums = [0, 0];
  for (let at = 0; at < text.length;) {
    for (const axis of [0, 1]) {
      let value = 0, shift = 0, byte;
      do { byte = text.charCodeAt(at++) - 63; value |= (byte & 31) << shift; shift += 5; } while (byte >= 32);
      sums[axis] += value & 1 ? ~(value >> 1) : value >> 1;
    }
    points.push(plane(sums[0] / scale, sums[1] / scale));
  }
  return points;
}

// The point of a line that is nearest to a place: where on the line, how far off, and how far along.
function nearestOn(line, [x, y]) {
  let best = {off: Infinity, index: 0, point: line[0]};
  for (let index = 0; index + 1 < line.length; index++) {
    const [a, b] = [line[index], line[index + 1]], dx = b[0] - a[0], dy = b[1] - a[1];
    const share = clamp(((x - a[0]) * dx + (y - a[1]) * dy) / (dx * dx + dy * dy || 1), 0, 1);
    const point = [a[0] + dx * share, a[1] + dy * share], off = distance(point, [x, y]);
    if (off < best.off) best = {off, index, point};
  }
  return best;
}

// What of a line is still ahead of a place.
function ahead(line, place) {
  if (line.length < 2) return line;
  const {index, point} = nearestOn(line, place);
  return [point, ...line.slice(index + 1)];
}

const lengthOf = (line) => line.reduce((sum, point, index) => index ? sum + distance(line[index - 1], point) : 0, 0);

// The geohash cells of a rectangle of the plane.
function cells([west, north, east, south], precision) {
  const letters = '0123456789bcdefghjkmnpqrstuvwxyz', bits = 5 * precision;
  const height = 180 / 2 ** Math.floor(bits / 2), width = 360 / 2 ** Math.ceil(bits / 2);
  const name = (latitude, longitude) => {
    const sides = [[-180, 180], [-90, 90]];
    let text = '', letter = 0;
    for (let bit = 0; bit < bits; bit++) {
      const side = sides[bit % 2], middle = (side[0] + side[1]) / 2, upper = [longitude, latitude][bit % 2] >= middle;
      side[upper ? 0 : 1] = middle;
      letter = 2 * letter + upper;
      if (bit % 5 === 4) { text += letters[letter]; letter = 0; }
    }
    return text;
  };
  const [top, left] = degrees(west, north), [bottom, right] = degrees(east, south), found = new Set();
  for (let latitude = bottom; ; latitude += height) {
    for (let longitude = left; ; longitude += width) {
      found.add(name(Math.min(latitude, top), Math.min(longitude, right)));
      if (longitude >= right) break;
    }
    if (latitude >= top) return found;
  }
}
