"""Makes map.json, the ground of the demo's map, from an OpenStreetMap extract.

    pip install osmium && python make.py helsinki-centre.osm.pbf > map.json

Every line is an encoded polyline of precision 6 (Google's format), simplified to a third of a metre. What it makes is
a derived database under the ODbL: © OpenStreetMap contributors.
"""

import json
import math
import sys

import osmium

SCALE = 1e6
KEPT_METRES = 0.35
METRES_PER_DEGREE = 111_195.0
ROADS = {
    "major": {"primary", "primary_link", "secondary", "secondary_link", "tertiary", "tertiary_link"},
    "street": {"residential", "unclassified", "living_street"},
    "lane": {"service", "pedestrian", "road"},
    "path": {"footway", "cycleway", "path", "steps"},
}
GREENS = {"landuse": {"grass", "forest", "meadow"}, "leisure": {"park", "garden", "playground", "pitch"},
          "natural": {"scrub", "wood", "heath", "grassland"}}


def encoded(points):
    out, last = [], (0, 0)
    for point in points:
        now = (round(point[0] * SCALE), round(point[1] * SCALE))
        for value in (now[0] - last[0], now[1] - last[1]):
            value = ~(value << 1) if value < 0 else value << 1
            while value >= 0x20:
                out.append(chr((0x20 | (value & 0x1F)) + 63))
                value >>= 5
            out.append(chr(value + 63))
        last = now
    return "".join(out)


def flat(point):
    return point[0] * METRES_PER_DEGREE, point[1] * METRES_PER_DEGREE * math.cos(math.radians(60.17))


def metres(a, b):
    return math.dist(flat(a), flat(b))


def simplified(points):
    """Ramer, Douglas, Peucker."""
    if len(points) < 3:
        return points
    (ax, ay), (bx, by) = flat(points[0]), flat(points[-1])
    length = math.hypot(bx - ax, by - ay)

    def off(point):
        x, y = flat(point)
        if length < 0.01:
            return math.hypot(x - ax, y - ay)
        share = max(0, min(1, ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / length**2))
        return math.hypot(x - ax - share * (bx - ax), y - ay - share * (by - ay))

    index = max(range(1, len(points) - 1), key=lambda i: off(points[i]))
    if off(points[index]) <= KEPT_METRES:
        return [points[0], points[-1]]
    return simplified(points[: index + 1])[:-1] + simplified(points[index:])


def places(nodes):
    return [(node.lat, node.lon) for node in nodes if node.location.valid()]


def is_green(tags):
    return any(tags.get(key) in values for key, values in GREENS.items())


class Ground(osmium.SimpleHandler):
    def __init__(self):
        super().__init__()
        self.layers = {name: [] for name in ["green", "water", "square", "building", "pier", "rail", "tram", *ROADS]}
        self.names = {}
        self.coast = []

    def way(self, way):
        tags, line = way.tags, places(way.nodes)
        if len(line) < 2:
            return
        below = tags.get("tunnel") in {"yes", "building_passage"} or tags.get("layer", "0").startswith("-")
        indoor = tags.get("indoor") == "yes" or tags.get("level", "0").startswith("-")
        if tags.get("natural") == "coastline":
            self.coast.append(line)
        if tags.get("area") == "yes" and tags.get("highway") == "pedestrian":
            self.layers["square"].append(encoded(simplified(line)))
            return
        highway = tags.get("highway")
        for layer, kinds in ROADS.items():
            if highway in kinds and not below and not indoor:
                self.layers[layer].append(encoded(simplified(line)))
        name = tags.get("name")
        if name and highway in ROADS["major"] | ROADS["street"] | {"pedestrian"} and not below:
            self.names.setdefault(name, []).append(line)
        if tags.get("railway") == "rail" and not below:
            self.layers["rail"].append(encoded(simplified(line)))
        if tags.get("railway") == "tram":
            self.layers["tram"].append(encoded(simplified(line)))

    def area(self, area):
        tags = area.tags
        layer = None
        if "building" in tags and tags.get("location") != "underground":
            layer = "building"
        elif tags.get("natural") == "water":
            layer = "water"
        elif tags.get("man_made") == "pier":
            layer = "pier"
        elif tags.get("place") == "square" or tags.get("amenity") == "marketplace":
            layer = "square"
        elif is_green(tags):
            layer = "green"
        if layer is None:
            return
        for outer in area.outer_rings():
            # Holes follow their ring; the even-odd rule cuts them out.
            rings = [encoded(simplified(places(outer)))]
            rings += [encoded(simplified(places(inner))) for inner in area.inner_rings(outer)]
            self.layers[layer].append(rings if len(rings) > 1 else rings[0])


def straightest(lines):
    """Joins a street's pieces end to end, and gives the longest way that came of it."""
    lines = [list(line) for line in lines]
    joined = True
    while joined:
        joined = False
        for i, a in enumerate(lines):
            for j, b in enumerate(lines):
                if i == j:
                    continue
                for one in (b, b[::-1]):
                    if metres(a[-1], one[0]) < 1:
                        lines[i] = a + one[1:]
                        del lines[j]
                        joined = True
                        break
                if joined:
                    break
            if joined:
                break
    return max(lines, key=lambda line: sum(metres(a, b) for a, b in zip(line, line[1:])))


def main(path):
    ground = Ground()
    ground.apply_file(path, locations=True)
    labels = []
    for name, lines in sorted(ground.names.items()):
        line = simplified(straightest(lines))
        if sum(metres(a, b) for a, b in zip(line, line[1:])) > 60:
            labels.append([name, encoded(line)])
    ground.layers["coast"] = [encoded(simplified(line)) for line in ground.coast]
    json.dump(
        {"attribution": "© OpenStreetMap contributors, ODbL 1.0", "layers": ground.layers, "labels": labels},
        sys.stdout, ensure_ascii=False, separators=(",", ":"),
    )


main(sys.argv[1])
