//! A map: as a file as it is, and as the block of a file, which mutations would not get at through compression and
//! lengths.
#![no_main]

use libfuzzer_sys::fuzz_target;
use platepal_roads::{Measured, Roads, Speeds};

fuzz_target!(|input: &[u8]| {
    for file in [input.to_vec(), wrapped(input)] {
        if let Ok(roads) = Roads::from_pbf(&file) {
            sound(&roads);
        }
    }
});

/// A file with this one block, not compressed.
fn wrapped(block: &[u8]) -> Vec<u8> {
    let mut blob = vec![0x0a];
    blob.extend(varint(block.len()));
    blob.extend(block);
    let mut header = b"\x0a\x07OSMData\x18".to_vec();
    header.extend(varint(blob.len()));
    let mut file = u32::try_from(header.len()).unwrap_or_default().to_be_bytes().to_vec();
    file.extend(header);
    file.extend(blob);
    file
}

fn varint(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// Whatever became a graph answers as one.
fn sound(roads: &Roads) {
    let summary = roads.summary();
    assert!(summary.edges > 0 && summary.nodes > 0 && summary.kilometres.is_finite());
    assert_eq!(roads.streets().count(), summary.edges);
    let mut first = None;
    for (_, line) in roads.streets().take(4) {
        let (Some(from), Some(to)) = (line.first(), line.last()) else { panic!("a street without a line") };
        let near = roads.snap(*from, 1.0);
        assert!(near.first().is_some_and(|snap| snap.metres < 1.0), "a street is not where it is");
        let start = *first.get_or_insert(*from);
        let route = roads.route(start, Some(90.0), *to, &Speeds::default());
        assert!(route.is_some_and(|route| route.seconds.is_finite()), "all streets reach each other");
        let fix = |place, at_millis| Measured { place, accuracy_m: 5.0, at_millis };
        assert!(roads.matched(&[fix(*from, 0), fix(*to, 60_000)]).is_some());
    }
}
