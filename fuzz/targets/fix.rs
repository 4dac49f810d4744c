//! A rider's fixes in a client's frame. Input: the frame's `data`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use platepal_fuzz::now;
use platepal_tracking::{
    fuzzing::{fixes, is_valid},
    replay::{Answer, Replay},
};

fuzz_target!(|input: &[u8]| {
    let fixes = fixes(input, now());
    assert!(fixes.len() <= 1_000, "a call has a bound");
    let mut replay = Replay::new(Some((60.17, 24.94)), Some((60.18, 24.95)));
    for fix in fixes {
        assert!(fix.latitude.is_finite() && fix.longitude.is_finite() && fix.accuracy.is_finite());
        let written = serde_json::to_vec(&fix).expect("a fix can be stored");
        assert_eq!(serde_json::from_slice::<platepal_tracking::replay::Fix>(&written).ok(), Some(fix));
        let step = replay.take(&fix);
        if step.answer == Answer::Shown {
            assert!(is_valid(&fix, fix.recorded_at), "only what is valid is shown");
            let position = step.position.expect("what is shown has a place");
            assert!(position.latitude.abs() <= 90.0 && position.longitude.abs() <= 180.0);
        }
    }
});
