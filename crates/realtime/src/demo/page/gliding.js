// A rider between two positions. Positions are shown a little later than they come, so that there is always a next one to
// glide to; nothing is made up beyond a moment, and how old a position is, is said as it is.
const stillness = matchMedia('(prefers-reduced-motion: reduce)');
const STALE_SECONDS = 30, FADING_SECONDS = 6, SAMPLES_MAX = 240;

class Gliding {
  constructor() { this.samples = []; this.pace = 1200; this.offset = Infinity; }
  // `location` as the contract has it, `timestamp` of the position, `age` in seconds as the server says.
  add(location, timestamp, age, moving) {
    const arrived = performance.now(), written = Date.parse(timestamp);
    const last = this.samples.at(-1);
    if (last && written <= last.written) { last.age = age; last.arrived = arrived; return; }
    this.offset = Math.min(this.offset + 0.5, arrived - written);
    const at = written + this.offset;
    if (last) this.pace = clamp(mix(this.pace, at - last.at, 0.2), 700, 3000);
    const [x, y] = plane(location.latitude, location.longitude);
    const heading = location.heading ?? (last ? last.heading : 0);
    this.samples.push({x, y, heading, speed: location.speed || 0, accuracy: location.accuracy, moving, at, written, arrived, age: age || 0});
    if (this.samples.length > SAMPLES_MAX) this.samples.shift();
  }
  get newest() { return this.samples.at(-1); }
  // Seconds since the rider was where they are shown.
  age(now) { const last = this.newest; return last ? last.age + (now - last.arrived) / 1000 : Infinity; }
  // Full at first, faint once it is stale.
  presence(now) { return clamp(1 - 0.7 * (this.age(now) - FADING_SECONDS) / (STALE_SECONDS - FADING_SECONDS), 0.3, 1); }
  at(now) {
    const {samples} = this, last = this.newest;
    if (!last) return null;
    if (stillness.matches || samples.length < 2) return {...last};
    const when = now - this.pace * 1.25;
    let index = samples.length - 1;
    while (index > 0 && samples[index].at > when) index--;
    const from = samples[index], to = samples[index + 1];
    if (!to) return {...last};
    const share = clamp((when - from.at) / (to.at - from.at || 1), 0, 1);
    if (distance([from.x, from.y], [to.x, to.y]) > 150) return {...(share < 0.5 ? from : to)};
    return {...to, x: mix(from.x, to.x, share), y: mix(from.y, to.y, share), heading: from.heading + turn(from.heading, to.heading) * share};
  }
  // The way so far, ending where the rider is shown.
  trail(now) {
    const here = this.at(now), when = now - this.pace * 1.25;
    if (!here) return [];
    return [...this.samples.filter((sample) => sample.at <= when).map(({x, y}) => [x, y]), [here.x, here.y]];
  }
}

const aged = (seconds) => seconds < 3 ? 'now' : seconds < 90 ? `${Math.round(seconds)} s ago` : `${Math.round(seconds / 60)} min ago`;
const paced = (speed) => `${Math.round(speed * 3.6)} km/h`;
